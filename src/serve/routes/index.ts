/**
 * All routes of the API, in the order in which its description lists them.
 * @module
 */
import type { Route } from "../route.ts";
import type { ServerContext } from "../server-context.ts";
import { answerRoutes } from "./answers.ts";
import { datasetRoutes } from "./datasets.ts";
import { evaluationRoutes } from "./evaluations.ts";
import { reportRoutes } from "./reports.ts";
import { runRoutes } from "./runs.ts";
import { scalarRoutes } from "./scalars.ts";
import { sessionRoutes } from "./session.ts";
import { studyRoutes } from "./studies.ts";
import { uploadRoutes } from "./uploads.ts";

/** Makes the routes of a part of the API. */
export type RouteMaker = (context: ServerContext) => Route[];

/** Parts of the API. */
export const ROUTE_MAKERS: readonly RouteMaker[] = [
  uploadRoutes,
  answerRoutes,
  evaluationRoutes,
  reportRoutes,
  runRoutes,
  scalarRoutes,
  studyRoutes,
  datasetRoutes,
  sessionRoutes,
];
