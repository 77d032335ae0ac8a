import { expect } from "chai";
import { parseResources } from "../../../scripts/lib/cuda-check.mjs";

describe("the report on compiled kernels", () => {
  it("reads registers, shared memory and spills of each kernel for each architecture", () => {
    const text = `
ptxas info    : Compiling entry function '_ZN9driftless15rms_norm_kernelIfEEvPKT_S3_' for 'sm_80'
ptxas info    : Function properties for _ZN9driftless15rms_norm_kernelIfEEvPKT_S3_
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 40 registers, used 1 barriers, 128 bytes smem, 400 bytes cmem[0]
ptxas info    : Compiling entry function '_Z10map_kernelv' for 'sm_90a'
    8 bytes stack frame, 12 bytes spill stores, 16 bytes spill loads
ptxas info    : Used 12 registers, used 0 barriers, 400 bytes cmem[0]
`;
    expect(parseResources(text)).to.deep.equal([
      { arch: "80", kernel: "rms_norm_kernel", registers: 40, sharedBytes: 128, spillBytes: 0 },
      { arch: "90a", kernel: "map_kernel", registers: 12, sharedBytes: 0, spillBytes: 28 },
    ]);
  });

  it("is empty where nothing was compiled", () => {
    expect(parseResources("ptxas fatal: out of memory")).to.deep.equal([]);
  });
});
