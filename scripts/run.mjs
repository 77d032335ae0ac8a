// Entry of the npm scripts: sets up what a task needs, then runs it with a Node that is new enough.
// `node scripts/run.mjs TASK [arguments]` is what `npm run TASK -- [arguments]` calls.
import { orExplain, setUp } from "./lib/setup.mjs";
import { TASKS } from "./lib/tasks.mjs";

const [name = "", ...args] = process.argv.slice(2);

if (!TASKS[name]) {
  const lines = Object.entries(TASKS).map(
    ([task, { summary }]) => `  ${task.padEnd(12)} ${summary}`,
  );
  console.error(`usage: node scripts/run.mjs TASK [arguments]\n\n${lines.join("\n")}`);
  process.exitCode = name === "" || name === "--help" ? 0 : 2;
} else if (args[0] === "--help") {
  const { summary, usage } = TASKS[name];
  console.log(`${summary}\n\nusage: npm run ${name} --${usage ? ` ${usage}` : ""}\n`);
  console.log("What is missing on this machine is brought first; see scripts/setup.mjs.");
} else {
  const { profileFor, run } = TASKS[name];
  const profile = profileFor ? profileFor(args) : TASKS[name].profile;
  const code = await orExplain(async () => run({ ...(await setUp(profile)), args }));
  process.exitCode = code ?? 1;
}
