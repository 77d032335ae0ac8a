import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect } from "chai";
import { fingerprint, listFiles, Stamps } from "../../../scripts/lib/stamps.mjs";

describe("stamps", () => {
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), "driftless-stamps-"));
    mkdirSync(path.join(folder, "src"));
    writeFileSync(path.join(folder, "src", "b.ts"), "b");
    writeFileSync(path.join(folder, "src", "a.ts"), "a");
  });

  afterEach(() => rmSync(folder, { recursive: true }));

  it("lists files below folders in a fixed order and leaves out what is not kept", () => {
    const files = listFiles([folder, "/nonexistent/folder"], (file) => !file.endsWith("b.ts"));
    expect(files).to.deep.equal([path.join(folder, "src", "a.ts")]);
    expect(listFiles([folder]).map((file) => path.basename(file))).to.deep.equal(["a.ts", "b.ts"]);
  });

  it("changes the fingerprint with a content, a name and a fact", () => {
    const before = fingerprint(listFiles([folder]));
    expect(fingerprint(listFiles([folder]))).to.equal(before);
    expect(fingerprint(listFiles([folder]), ["arm64"])).not.to.equal(before);
    writeFileSync(path.join(folder, "src", "a.ts"), "changed");
    const changed = fingerprint(listFiles([folder]));
    expect(changed).not.to.equal(before);
    writeFileSync(path.join(folder, "src", "c.ts"), "");
    expect(fingerprint(listFiles([folder]))).not.to.equal(changed);
  });

  it("remembers values, keeps others and leaves no temporary file", () => {
    const file = path.join(folder, "state", "stamps.json");
    const stamps = new Stamps(file);
    stamps.set("npm", "linux-x64");
    stamps.set("client", "1");
    expect(new Stamps(file).matches("npm", "linux-x64")).to.equal(true);
    expect(new Stamps(file).matches("client", "2")).to.equal(false);
    expect(readdirSync(path.dirname(file))).to.deep.equal(["stamps.json"]);
  });

  it("takes a damaged file for nothing done", () => {
    const file = path.join(folder, "stamps.json");
    writeFileSync(file, '{"npm": "li');
    expect(new Stamps(file).get("npm")).to.equal(undefined);
  });
});
