import { describe, expect, it } from "vitest";
import { type Docker, whyNoImage } from "./engine.ts";

const answering =
  (stdout: string): Docker =>
  async () => ({ stdout });

describe("whyNoImage", () => {
  it("is null where the engine is on this machine", async () => {
    expect(await whyNoImage(answering("linux build-7\n"), "build-7")).toBeNull();
  });

  it("names the machine that the engine is on", async () => {
    const why = await whyNoImage(answering("linux docker-desktop\n"), "build-7");
    expect(why).toBe(
      "docker runs on another machine (docker-desktop), which cannot reach the demo's services on build-7",
    );
  });

  it("says of which system the containers are", async () => {
    const why = await whyNoImage(answering("windows build-7\n"), "build-7");
    expect(why).toBe("docker runs containers of windows, and the image is one of linux");
  });

  it("says that there is no docker", async () => {
    const missing: Docker = () => Promise.reject(new Error("spawn docker ENOENT"));
    const why = await whyNoImage(missing, "build-7");
    expect(why).toBe("docker info does not answer (spawn docker ENOENT)");
  });

  it("passes on why docker does not answer", async () => {
    const stderr = "Cannot connect to the Docker daemon\nfurther lines\n";
    const error = Object.assign(new Error("Command failed: docker info"), { stderr });
    const why = await whyNoImage(() => Promise.reject(error), "build-7");
    expect(why).toBe("docker info does not answer (Cannot connect to the Docker daemon)");
  });

  it("asks docker about its engine", async () => {
    const asked: string[] = [];
    await whyNoImage(async ([command = ""]) => {
      asked.push(command);
      return { stdout: "" };
    }, "build-7");
    expect(asked).toEqual(["info"]);
  });
});
