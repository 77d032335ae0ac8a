/** A child process with a part of the crowd; obeys the messages of loadtest/crew.ts in their order. */
import type { CrewOrder } from "./crew.ts";
import { Crowd } from "./crowd.ts";

let crowd: Crowd | undefined;
let work: Promise<unknown> = Promise.resolve();

async function obey(order: CrewOrder): Promise<unknown> {
  if (order.what === "assemble") {
    crowd = new Crowd(order.part, order.clip);
    return crowd.assemble();
  }
  if (crowd === undefined) throw new Error(`expected "assemble" first, got "${order.what}"`);
  if (order.what === "transforms") return crowd.askForTransforms();
  if (order.what === "measure") return crowd.startMeasuring();
  if (order.what === "sample") return crowd.sample();
  const result = crowd.finish();
  crowd.close();
  return result;
}

process.on("message", (order: CrewOrder) => {
  work = work
    .then(() => obey(order))
    .then(
      (data) => process.send?.({ id: order.id, data }),
      (error: unknown) => process.send?.({ id: order.id, error: String(error) }),
    );
});
// Nobody is left to report to.
process.once("disconnect", () => process.exit(0));
