/** A user with what `migrate --print-grants` prints, and nothing else: every command as a child process. */
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { createRole } from "../services/postgres/database-role.ts";
import { runOnce, startWorker } from "../support/process/worker-process.ts";
import { createWorld } from "../support/world/world.ts";

const UPGRADING = join(import.meta.dirname, "..", "..", "docs", "upgrading.md");

describe("a user with the printed grants", () => {
  it("lets run, once, pause, resume, status, doctor and migrate --check do their work", async () => {
    await using world = await createWorld();
    await using role = await createRole(world.database);
    const { DATABASE_URL = "" } = world.env;
    const print = await runOnce({ DATABASE_URL }, ["migrate", "--print-grants", role.name]);
    expect(print).toMatchObject({ code: 0, stderr: "" });
    await world.database.sql.unsafe(print.stdout);

    const env = { ...world.env, DATABASE_URL: role.url };
    const { id } = await world.seed({}, { status: "MISSING" });
    await using worker = await startWorker({ ...env, WATCHDOG_SCHEDULE: "* * * * * *" });
    await worker.waitForLog("sweep finished");
    worker.kill();
    expect((await worker.exited).code).toBe(0);
    expect((await world.row(id)).status).toBe("FAILED");
    expect(worker.logs.filter(({ msg }) => /privilege|grant|denied/.test(msg))).toEqual([]);

    for (const args of [
      ["migrate", "--check"],
      ["once", "--wait", "60s"],
      ["doctor"],
      ["status"],
      ["explain", id],
      ["history"],
      ["pause", "--for", "1h", "--reason", "r"],
      ["resume"],
    ]) {
      const { code, stdout, stderr } = await runOnce(env, args);
      expect(code, `${args.join(" ")}: ${stdout}${stderr}`).toBe(0);
    }
  });

  it("is gone with everything of ours after what docs/upgrading.md says, and nothing else is", async () => {
    await using world = await createWorld();
    const { database } = world;
    const name = `uninstalled_${randomBytes(6).toString("hex")}`;
    await database.sql.unsafe(`CREATE ROLE ${name}`);
    const { DATABASE_URL = "" } = world.env;
    const { stdout } = await runOnce({ DATABASE_URL }, ["migrate", "--print-grants", name]);
    await database.sql.unsafe(stdout);
    const { id } = await world.seed({}, { status: "MISSING" });
    await world.sweep();

    const document = await readFile(UPGRADING, "utf8");
    const [, uninstall = ""] = /```sql\n([\s\S]+?)```/.exec(document) ?? [];
    expect(uninstall).toContain("DROP ROLE watchdog_user");
    await database.sql.unsafe(uninstall.replaceAll("watchdog_user", name));
    expect(await database.sql`SELECT FROM pg_roles WHERE rolname = ${name}`).toHaveLength(0);
    expect(await database.sql`SELECT FROM pg_namespace WHERE nspname = 'watchdog'`).toHaveLength(0);
    expect((await world.row(id)).status).toBe("FAILED");
  });
});
