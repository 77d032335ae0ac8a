import { readFileSync } from "node:fs";
import { expect } from "chai";
import { Registry } from "prom-client";
import { parse } from "yaml";
import { createEngineMetrics } from "../../../server/engine/metrics.ts";
import { createMetrics } from "../../../server/telemetry/metrics.ts";

interface Dashboard {
  panels: Array<{ title: string; targets: Array<{ expr: string }> }>;
}
interface Alerts {
  groups: Array<{ rules: Array<{ alert: string; expr: string }> }>;
}

const read = (file: string) => readFileSync(new URL(`../../../${file}`, import.meta.url), "utf8");

/** Names of the driftless series in an expression, without what a histogram appends. */
function seriesOf(expression: string): string[] {
  const names = expression.match(/driftless_[a-z0-9_]+/g) ?? [];
  return names.map((name) => name.replace(/_(bucket|sum|count)$/, ""));
}

describe("dashboards and alerts", () => {
  const registries = [createMetrics().registry, new Registry()] as const;
  createEngineMetrics(registries[1]);
  const exported = new Set(
    registries.flatMap((registry) => registry.getMetricsAsArray().map((metric) => metric.name)),
  );

  it("use only metrics that the server exports", () => {
    const dashboard: Dashboard = JSON.parse(read("config/grafana/dashboards/driftless.json"));
    const alerts: Alerts = parse(read("config/prometheus/alerts.yml"));
    const expressions = [
      ...dashboard.panels.flatMap((panel) => panel.targets.map((target) => target.expr)),
      ...alerts.groups.flatMap((group) => group.rules.map((rule) => rule.expr)),
    ];
    const used = expressions.flatMap(seriesOf);
    expect(used.length).to.be.greaterThan(10);
    expect(used.filter((name) => !exported.has(name))).to.deep.equal([]);
  });
});
