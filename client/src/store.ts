import { useEffect, useState } from "preact/hooks";

/** A value that tells its listeners when it changes. */
export interface Store<T> {
  get(): T;
  /** Replaces the value by what `change` returns; the same object back means "no change". */
  update(change: (value: T) => T): void;
  /** Calls `listener` after each change; the result stops that. */
  subscribe(listener: () => void): () => void;
}

export function createStore<T>(initial: T): Store<T> {
  let value = initial;
  const listeners = new Set<() => void>();
  return {
    get: () => value,
    update(change) {
      const next = change(value);
      if (Object.is(next, value)) return;
      value = next;
      for (const listener of [...listeners]) listener();
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/**
 * Renders again when the selected part of the store's value changes, and only then.
 * @param select pure; it is called after every change of the store
 * @param equal whether two selected parts count as the same
 */
export function useSelector<T, U>(
  store: Store<T>,
  select: (value: T) => U,
  equal: (a: U, b: U) => boolean = Object.is,
): U {
  const selected = select(store.get());
  const [, render] = useState(0);
  useEffect(() => {
    let before = select(store.get());
    // A change between the rendering and this effect would be missed otherwise.
    if (!equal(before, selected)) render((count) => count + 1);
    return store.subscribe(() => {
      const now = select(store.get());
      if (equal(before, now)) return;
      before = now;
      render((count) => count + 1);
    });
    // `select` is a new function each time; what it reads besides the store renders anyway.
  }, [store]);
  return selected;
}

/** Renders again when the store's value changes. */
export function useStore<T>(store: Store<T>): T {
  return useSelector(store, (value) => value);
}

/** Whether two lists hold the same elements in the same order. */
export function sameElements<T>(a: readonly T[], b: readonly T[]): boolean {
  return a.length === b.length && a.every((each, index) => Object.is(each, b[index]));
}
