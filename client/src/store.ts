import { useEffect, useState } from "preact/hooks";

/** A value that tells its listeners when it changes. The state of the page lives in one. */
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

/** Renders again when the store's value changes. */
export function useStore<T>(store: Store<T>): T {
  const [value, setValue] = useState(store.get());
  useEffect(() => {
    // A change between the first render and this effect would be missed otherwise.
    setValue(store.get());
    return store.subscribe(() => setValue(store.get()));
  }, [store]);
  return value;
}
