/** The studio. @module */
import { render } from "preact";
import { Shell } from "./shell.tsx";
import "./studio.css";

render(<Shell />, document.getElementById("studio")!);
