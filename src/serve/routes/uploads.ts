/**
 * Clips in: uploads and bundled examples.
 * @module
 */
import { z } from "zod";
import { exampleSchema } from "../examples.ts";
import { notFound } from "../http-error.ts";
import { type Route, route } from "../route.ts";
import { fileResponses, sendFile } from "../send-file.ts";
import type { ServerContext } from "../server-context.ts";
import { uploadSchema } from "../uploads.ts";

/** Routes of uploads and examples. */
export function uploadRoutes({ uploads, examples }: ServerContext): Route[] {
  return [
    route({
      method: "get",
      path: "/api/v1/examples",
      tag: "clips",
      summary: "The bundled clips; their ids stand for uploads",
      responses: { 200: { about: "All of them", schema: z.object({ examples: z.array(exampleSchema) }) } },
      handle: ({ context }) => context.json({ examples: examples.map(({ path: _path, ...shown }) => shown) }),
    }),
    route({
      method: "get",
      path: "/api/v1/examples/:id/content",
      tag: "clips",
      summary: "The file of a bundled clip",
      responses: fileResponses("*/*"),
      handle: ({ context, params }) => {
        const found = examples.find(({ id }) => id === params["id"]);
        if (!found) throw notFound("example", params["id"]!);
        return sendFile(context, found.path);
      },
    }),
    route({
      method: "post",
      path: "/api/v1/uploads",
      tag: "clips",
      summary: "Upload a video or picture: the file itself is the body",
      rawBody:
        "The file itself, named by the header X-File-Name (percent-encoded), or a form with one file (multipart/form-data).",
      headers: { "x-file-name": "Name of the file, percent-encoded" },
      responses: { 201: { about: "It was taken", schema: uploadSchema } },
      refusals: {
        413: "The file, its frames or its seconds are more than the server takes",
        415: "It is no video or picture that the server can read",
        422: "The file is broken, or took too long to look into",
        507: "The server's disk is full",
      },
      handle: async ({ context, client }) => {
        const length = context.req.header("content-length");
        const upload = await uploads.take(context.req.raw.body, {
          name: decodedName(context.req.header("x-file-name") ?? "clip"),
          bytes: length === undefined ? undefined : Number(length),
          client,
          contentType: context.req.header("content-type") ?? "",
        });
        return context.json(upload, 201, { location: `/api/v1/uploads/${upload.id}` });
      },
    }),
    route({
      method: "get",
      path: "/api/v1/uploads",
      tag: "clips",
      summary: "Uploads, the newest first",
      query: z.object({ limit: z.coerce.number().int().min(1).max(500).default(50) }),
      responses: { 200: { about: "Uploads", schema: z.object({ uploads: z.array(uploadSchema) }) } },
      handle: ({ context, query }) => context.json({ uploads: uploads.list(query.limit) }),
    }),
    route({
      method: "get",
      path: "/api/v1/uploads/:id",
      tag: "clips",
      summary: "One upload",
      responses: { 200: { about: "What is known of it", schema: uploadSchema } },
      handle: ({ context, params }) => context.json(uploads.get(params["id"]!)),
    }),
    route({
      method: "get",
      path: "/api/v1/uploads/:id/content",
      tag: "clips",
      summary: "The file of an upload",
      responses: fileResponses("*/*"),
      handle: ({ context, params }) => {
        const { id, mediaType } = uploads.get(params["id"]!);
        return sendFile(context, uploads.pathOf(id), { type: mediaType, isImmutable: true });
      },
    }),
    route({
      method: "get",
      path: "/api/v1/uploads/:id/poster.png",
      tag: "clips",
      summary: "The first frame of an upload",
      responses: fileResponses("image/png"),
      handle: ({ context, params }) =>
        sendFile(context, uploads.posterOf(uploads.get(params["id"]!).id), {
          type: "image/png",
          isImmutable: true,
        }),
    }),
    route({
      method: "delete",
      path: "/api/v1/uploads/:id",
      tag: "clips",
      summary: "Delete an upload; answers keep what they saw of it",
      responses: { 204: { about: "It is gone" } },
      handle: async ({ context, params }) => {
        await uploads.remove(params["id"]!);
        return context.body(null, 204);
      },
    }),
  ];
}

function decodedName(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
