import { defineConfig } from "drizzle-kit";

export default defineConfig({
  dialect: "postgresql",
  schema: "./src/io/postgres/schema.ts",
  out: "./drizzle",
});
