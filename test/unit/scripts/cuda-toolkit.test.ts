import { expect } from "chai";
import { cudaBuild, wheelFolders } from "../../../scripts/lib/cuda-toolkit.mjs";
import { SetupError } from "../../../scripts/lib/steps.mjs";

const toolkit = { nvcc: "/opt/cuda/bin/nvcc", version: "13.0", include: "/opt/cuda/include" };
const found = () => ({ toolkit, tried: [] });
const missing = () => ({ toolkit: null, tried: ["PATH", "wheels"] });

describe("whether the engine is built for GPUs", () => {
  it("is where there are a GPU and a compiler, and for that GPU", () => {
    const build = cudaBuild({}, { find: found, hasDevice: () => true });
    expect(build.options).to.include.members([
      "DRIFTLESS_CUDA=ON",
      "CMAKE_CUDA_COMPILER=/opt/cuda/bin/nvcc",
      "DRIFTLESS_CUDA_ARCHITECTURES=native",
    ]);
    expect(build.detail).to.equal("with CUDA 13.0 (/opt/cuda/bin/nvcc)");
  });

  it("is not without either, and says why", () => {
    const off = ["DRIFTLESS_CUDA=OFF"];
    expect(cudaBuild({}, { find: found, hasDevice: () => false })).to.deep.equal({
      options: off,
      detail: "without CUDA (no NVIDIA GPU)",
    });
    expect(cudaBuild({}, { find: missing, hasDevice: () => true })).to.deep.equal({
      options: off,
      detail: "without CUDA (there is a GPU, but no nvcc in PATH, wheels)",
    });
    const asked = cudaBuild({ DRIFTLESS_CUDA: "off" }, { find: found, hasDevice: () => true });
    expect(asked.options).to.deep.equal(off);
  });

  it("is for all architectures where it is asked for, or for those named", () => {
    const machine = { find: found, hasDevice: () => false };
    const all = cudaBuild({ DRIFTLESS_CUDA: "on" }, machine);
    expect(all.options.some((option) => option.includes("ARCHITECTURES"))).to.equal(false);
    const one = cudaBuild(
      { DRIFTLESS_CUDA: "on", DRIFTLESS_CUDA_ARCHITECTURES: "89-real" },
      machine,
    );
    expect(one.options).to.include("DRIFTLESS_CUDA_ARCHITECTURES=89-real");
  });

  it("fails where it is asked for and cannot be, or asked for in other words", () => {
    expect(() => cudaBuild({ DRIFTLESS_CUDA: "on" }, { find: missing })).to.throw(
      SetupError,
      "no nvcc in PATH, wheels",
    );
    expect(() => cudaBuild({ DRIFTLESS_CUDA: "yes" })).to.throw(SetupError, 'got "yes"');
  });
});

describe("CUDA's libraries in Python wheels", () => {
  const wheels = (names: string[]) => names.map((name) => `/site/nvidia/all/${name}`);

  it("are for machines with a GPU, and for what the system lacks", () => {
    const bare = { hasDevice: () => true, wheels, exists: () => false };
    expect(wheelFolders(bare)).to.deep.equal(["/site/nvidia/all/lib"]);
    const complete = { ...bare, exists: () => true };
    expect(wheelFolders(complete)).to.deep.equal([]);
    expect(wheelFolders({ ...bare, hasDevice: () => false })).to.deep.equal([]);
  });
});
