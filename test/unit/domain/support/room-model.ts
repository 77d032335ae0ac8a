/**
 * A room under any order of events, and beside it an account of what must be hidden that is kept
 * without the policy's own code.
 */
import { expect } from "chai";
import fc from "fast-check";
import type { Participant } from "../../../../server/domain/participant.ts";
import type { PrivacyPolicy } from "../../../../server/domain/privacy.ts";
import type { Room } from "../../../../server/domain/room.ts";
import type { ActiveSettings, TransformSettings } from "../../../../server/domain/settings.ts";
import type { TrackRef } from "../../../../server/domain/tracks.ts";
import { DriftlessError } from "../../../../server/errors.ts";
import {
  background,
  codeOf,
  createRoom,
  newParticipant,
  OFF,
  planOf,
  restyle,
  STATUS,
  track,
} from "./people.ts";

const IDENTITIES = ["ada", "ben", "cleo"] as const;
const WISHES: TransformSettings[] = [
  OFF,
  restyle("oil"),
  restyle("ink"),
  background("a beach"),
  background("a forest"),
];

const who = fc.constantFrom(...IDENTITIES);
const source = fc.constantFrom("camera", "microphone");
const on = fc.boolean();
/** Of an engine's answer, counted from the revision in force: late ones, and ones nobody asked for. */
const offset = fc.constantFrom(0, 0, 0, -1, -2, -3, 1, 5);

export const command = fc.oneof(
  fc.record({ type: fc.constant("join"), who, on }),
  fc.record({ type: fc.constant("leave"), who }),
  fc.record({ type: fc.constant("return"), who, on }),
  fc.record({ type: fc.constant("publish"), who, source }),
  fc.record({ type: fc.constant("publish"), who, source: fc.constant("camera") }),
  fc.record({ type: fc.constant("unpublish"), who, source, stale: on }),
  fc.record({ type: fc.constant("pause"), who, source, on }),
  fc.record({ type: fc.constant("wish"), who, wanted: fc.constantFrom(...WISHES), byOther: on }),
  fc.record({
    ...{ type: fc.constant("wish"), who, wanted: fc.constantFrom(...WISHES) },
    byOther: fc.constant(false),
  }),
  fc.record({ type: fc.constant("hideRoom"), who, on }),
  fc.record({
    ...{ type: fc.constant("fallback"), who },
    order: fc.constantFrom(["lastFrame", "original"], ["avatar"], ["original"], ["lastFrame"]),
  }),
  fc.record({ type: fc.constant("look"), who, at: who, on }),
  fc.record({ type: fc.constant("accepted"), who, offset }),
  fc.record({ type: fc.constant("applied"), who, offset, on }),
  fc.record({ type: fc.constant("refused"), who, offset }),
  fc.record({
    ...{ type: fc.constant("status"), who },
    state: fc.constantFrom("queued", "starting", "live", "fallback"),
  }),
  fc.record({ type: fc.constant("generatedAdded"), who }),
  fc.record({ type: fc.constant("generatedRemoved"), who, stale: on }),
  fc.record({
    ...{ type: fc.constant("picture"), who },
    picture: fc.constantFrom("fresh", "fresh", "stalled"),
  }),
  fc.record({ type: fc.constant("mediaLost") }),
);

type Commands = typeof command extends fc.Arbitrary<infer T> ? T : never;
export type Command = { [T in Commands as T["type"]]: T }[Commands["type"]];

/** What is known of one stay without asking the policy. */
interface Account {
  hideSwitch: boolean;
  settings: ActiveSettings | undefined;
  revision: number;
  /** Since which revision the room is hidden without a break. */
  hiddenSince: number | undefined;
  /** Nothing was being repainted when hiding began. */
  beganClean: boolean;
  newestShown: number;
  /** What was asked with each revision since the last "off". */
  asked: Map<number, ActiveSettings>;
  accepted: { revision: number; settings: ActiveSettings } | undefined;
  /** As the last "policyChanged" told. */
  toldVersion: number;
}

const isHidden = ({ hideSwitch, settings }: Account) =>
  hideSwitch || settings?.mode === "background";

export class RoomModel {
  readonly room: Room = createRoom(10);
  readonly #accounts = new Map<Participant, Account>();
  /** What a follower of the events believes to be planned: "viewer < publisher" to tracks. */
  readonly #followed = new Map<string, string[]>();
  #count = 0;

  constructor() {
    const { room } = this;
    room.on("policyChanged", (participant) => {
      this.#account(participant).toldVersion = participant.policy.version;
    });
    room.on("planChanged", (publisher, viewer) => {
      expect(
        this.#account(publisher).toldVersion,
        "a plan changes before the change of the policy is told",
      ).to.equal(publisher.policy.version);
      for (const each of viewer === undefined ? room.participants : [viewer]) {
        this.#follow(publisher, each);
      }
    });
    room.on("left", (gone) => {
      this.#accounts.delete(gone);
      for (const key of this.#followed.keys()) {
        if (key.split(" < ").includes(gone.id)) this.#followed.delete(key);
      }
    });
  }

  run(command: Command): void {
    const policies = new Map(this.room.participants.map((each) => [each, each.policy]));
    this.#apply(command);
    for (const participant of this.room.participants) {
      this.#checkVersion(policies.get(participant), participant.policy);
      this.#checkAccount(participant);
      for (const viewer of this.room.participants) this.#checkPlan(participant, viewer);
    }
    const identities = this.room.participants.map(({ identity }) => identity);
    expect(new Set(identities).size, "an identity is in the room twice").to.equal(
      identities.length,
    );
  }

  #apply(command: Command): void {
    const { room } = this;
    if (command.type === "mediaLost") {
      room.mediaLost();
      return;
    }
    const participant = room.participants.find(({ identity }) => identity === command.who);
    if (participant === undefined) {
      if (command.type === "join") this.#join(command.who, command.on);
      return;
    }
    const revision = participant.wish.revision + ("offset" in command ? command.offset : 0);
    switch (command.type) {
      case "join":
        expect(codeOf(() => this.#join(command.who, command.on))).to.equal("IDENTITY_IN_USE");
        return;
      case "leave":
        room.leave(participant.id, "left");
        return;
      case "return":
        participant.connected = false;
        this.#join(command.who, command.on);
        return;
      case "publish":
        room.publish(participant, track(participant.id, command.source, ++this.#count));
        return;
      case "unpublish":
        this.#unpublish(participant, command);
        return;
      case "pause":
        room.setPaused(participant, command.source, command.on);
        return;
      case "wish":
        this.#wish(participant, command.wanted, command.byOther);
        return;
      case "hideRoom":
        room.hideRoom(participant, command.on);
        if (this.#account(participant).hideSwitch !== command.on) {
          this.#write(participant, (account) => {
            account.hideSwitch = command.on;
          });
        }
        return;
      case "fallback":
        room.setFallback(participant, command.order);
        this.#write(participant, () => {});
        return;
      case "look":
        this.#look(participant, command.at, command.on);
        return;
      case "accepted":
        room.onTransformAccepted(participant, revision);
        this.#taken(participant, revision);
        return;
      case "applied": {
        const applied = { revision, captureTimeMs: 0, complete: command.on };
        room.onTransformApplied(participant, applied);
        const account = this.#account(participant);
        // The engine cannot show what nobody has asked for.
        if (revision > account.revision) return;
        account.newestShown = Math.max(account.newestShown, revision);
        this.#taken(participant, revision);
        return;
      }
      case "refused":
        this.#refused(participant, revision);
        return;
      case "status": {
        const settings = participant.wish.settings ?? restyle();
        room.onTransformStatus(participant, { ...STATUS, state: command.state, settings });
        return;
      }
      case "generatedAdded":
        room.addGenerated(participant, track(participant.id, "generated", ++this.#count));
        return;
      case "generatedRemoved": {
        const { generated } = participant;
        if (command.stale) room.removeGenerated(participant, track(participant.id, "generated", 0));
        else if (generated !== undefined) room.removeGenerated(participant, generated);
        const kept = command.stale ? generated?.id : undefined;
        expect(participant.generated?.id, "an older track's end ends a newer one").to.equal(kept);
        return;
      }
      case "picture":
        room.setGeneratedPicture(participant, command.picture);
        return;
    }
  }

  #join(identity: string, hideRoom: boolean): void {
    const options = newParticipant(`${identity} ${++this.#count}`, { identity, hideRoom });
    const participant = this.room.join(options);
    this.#accounts.set(participant, {
      ...{ hideSwitch: hideRoom, settings: undefined, revision: 0, newestShown: 0 },
      ...{ hiddenSince: hideRoom ? 0 : undefined, beganClean: true },
      ...{ asked: new Map(), accepted: undefined, toldVersion: participant.policy.version },
    });
    for (const other of this.room.participants) {
      this.#follow(other, participant);
      this.#follow(participant, other);
    }
  }

  #unpublish(
    participant: Participant,
    { source, stale }: { source: TrackRef["source"]; stale: boolean },
  ) {
    const before = participant.track(source);
    if (before === undefined) return;
    this.room.unpublish(participant, stale ? track(participant.id, source, 0) : before);
    expect(participant.track(source)?.id).to.equal(stale ? before.id : undefined);
  }

  #wish(participant: Participant, wanted: TransformSettings, byOther: boolean): void {
    const settings = wanted.mode === "off" ? undefined : wanted;
    const { policy, camera } = participant;
    const wasHidden = isHidden(this.#account(participant));
    try {
      this.room.wish(participant, wanted, byOther);
    } catch (error) {
      const code = error instanceof DriftlessError ? error.code : String(error);
      if (code === "NO_VIDEO") {
        expect([wanted.mode, camera], "refused for want of a camera").to.deep.equal([
          ...["restyle", undefined],
        ]);
      } else {
        expect([code, byOther], "only another person may be forbidden").to.deep.equal([
          ...["FORBIDDEN", true],
        ]);
      }
      return;
    }
    this.#write(participant, (account) => {
      account.settings = settings;
    });
    if (!byOther) return;
    const stillHidden = isHidden(this.#account(participant));
    expect(wasHidden && !stillHidden, "somebody else shows a hidden room").to.equal(false);
    expect(!policy.original && participant.policy.original, "… at once").to.equal(false);
  }

  #refused(participant: Participant, revision: number): void {
    const account = this.#account(participant);
    const { policy } = participant;
    const error = new DriftlessError("ENGINE_REFUSED", "The engine does not take this.");
    this.room.onTransformRefused(participant, revision, error);
    const { wish } = participant;
    const looser =
      (!policy.original && participant.policy.original) ||
      (!policy.generated && participant.policy.generated);
    expect(looser, "a refusal loosens the policy").to.equal(false);
    if (revision !== account.revision || wish.revision === account.revision) return;
    expect(wish.settings, "a refusal goes back to what the engine had taken").to.equal(
      account.accepted?.settings,
    );
    this.#write(participant, (changed) => {
      changed.settings = wish.settings;
    });
  }

  #taken(participant: Participant, revision: number): void {
    const account = this.#account(participant);
    const settings = account.asked.get(revision);
    if (settings === undefined || revision <= (account.accepted?.revision ?? 0)) return;
    account.accepted = { revision, settings };
  }

  /** Writes a change of what is wanted down, with the next revision. */
  #write(participant: Participant, change: (account: Account) => void): void {
    const account = this.#account(participant);
    const before = isHidden(account);
    const clean = account.settings === undefined && participant.generated === undefined;
    change(account);
    account.revision += 1;
    if (!isHidden(account)) account.hiddenSince = undefined;
    else if (!before) {
      account.hiddenSince = account.revision;
      account.beganClean = clean;
    }
    if (account.settings === undefined) {
      account.asked.clear();
      account.accepted = undefined;
    } else account.asked.set(account.revision, account.settings);
  }

  #look(viewer: Participant, at: string, visible: boolean): void {
    const seen = this.room.participants.find(({ identity }) => identity === at);
    if (seen === undefined) return;
    const view = { visible, width: 320, height: 180 };
    this.room.setViews(viewer, new Map([[seen.id, view]]));
  }

  #follow(publisher: Participant, viewer: Participant): void {
    this.#followed.set(`${viewer.id} < ${publisher.id}`, planOf(this.room, publisher, viewer));
  }

  #account(participant: Participant): Account {
    const account = this.#accounts.get(participant);
    if (account === undefined) throw new Error(`${participant.id} is not in the room`);
    return account;
  }

  #checkVersion(before: PrivacyPolicy | undefined, now: PrivacyPolicy): void {
    if (before === undefined) return;
    const same = before.original === now.original && before.generated === now.generated;
    if (same && before.version === now.version) return;
    expect(now.version, "the version does not grow").to.be.greaterThan(before.version);
  }

  #checkAccount(participant: Participant): void {
    const account = this.#account(participant);
    const { revision, settings, hideRoom } = participant.wish;
    expect({ revision, settings, hideRoom }, "the last wish does not win").to.deep.equal({
      ...{ revision: account.revision, settings: account.settings, hideRoom: account.hideSwitch },
    });
    expect(account.toldVersion, "a change of the policy was not told").to.equal(
      participant.policy.version,
    );
  }

  #checkPlan(publisher: Participant, viewer: Participant): void {
    const { room } = this;
    const account = this.#account(publisher);
    const words = planOf(room, publisher, viewer);
    expect(
      this.#followed.get(`${viewer.id} < ${publisher.id}`),
      "who follows the events has an old plan",
    ).to.deep.equal(words);
    const planned = room.plan(publisher, viewer);
    const original = planned.find(
      (one) => one.track.kind === "video" && one.track.variant === "original",
    );
    const generated = planned.find((one) => one.track.variant === "generated");
    const { policy, camera, publication } = publisher;
    expect(original !== undefined && !policy.original, "a forbidden camera is planned").to.equal(
      false,
    );
    expect(generated !== undefined && !policy.generated, "forbidden frames are planned").to.equal(
      false,
    );
    const hidden = isHidden(account);
    const painted = account.beganClean || account.newestShown >= (account.hiddenSince ?? 0);
    if (hidden) {
      expect(original, "the camera of a hidden room is planned").to.equal(undefined);
      if (!painted) {
        expect(generated, "frames that may show a hidden room are planned").to.equal(undefined);
      }
    }
    // It must not be hidden by planning nothing.
    const filmed = camera !== undefined && !publication.cameraPaused;
    const seen = viewer.viewOf(publisher.id)?.visible ?? true;
    if (!filmed || !seen || publisher === viewer) return;
    if (!hidden && account.settings === undefined) {
      expect(original?.flowing, "an open room without transform is not seen").to.equal(true);
    }
    const { generatedPicture } = publication;
    if (publisher.generated !== undefined && generatedPicture === "fresh" && (!hidden || painted)) {
      expect(generated?.flowing, "repainted frames are not seen").to.equal(true);
    }
  }
}
