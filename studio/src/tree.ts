// Where each turn of an edit tree is drawn: one row a turn, branches side by side in lanes.

export interface Node { key: string; parent: string | null }

export interface Row<N extends Node> {
  node: N;
  row: number;
  lane: number;
  parentRow: number;  // -1 for a root
  parentLane: number;
  depth: number;
  children: number;   // how many
  setSize: number;    // siblings, itself included
  position: number;   // among them, from 1
}

// Depth first, in the order given (parents before children). The last child goes on in its parent's lane; those before it step one
// lane aside, which is free: their branches end above the next sibling, and every edge runs down the parent's lane. No recursion: a
// chain may be as long as it likes.
export function layOut<N extends Node>(nodes: N[]): Row<N>[] {
  const children = new Map<string | null, N[]>();
  const known = new Set(nodes.map(n => n.key));
  for (const node of nodes) {
    const parent = node.parent !== null && known.has(node.parent) ? node.parent : null;
    const list = children.get(parent);
    if (list) list.push(node);
    else children.set(parent, [node]);
  }
  const rows: Row<N>[] = [];
  const at = new Map<string, Row<N>>();
  const open: { node: N; position: number; siblings: number; parent: string | null }[] = [];
  const push = (parent: string | null) => {
    const list = children.get(parent) ?? [];
    for (let i = list.length - 1; i >= 0; --i) open.push({ node: list[i], position: i + 1, siblings: list.length, parent });
  };
  push(null);
  for (let next = open.pop(); next; next = open.pop()) {
    const from = next.parent === null ? undefined : at.get(next.parent);
    const row: Row<N> = {
      node: next.node, row: rows.length, lane: from ? from.lane + (next.position < next.siblings ? 1 : 0) : 0,
      parentRow: from?.row ?? -1, parentLane: from?.lane ?? 0,
      depth: from ? from.depth + 1 : 0, children: children.get(next.node.key)?.length ?? 0,
      setSize: next.siblings, position: next.position,
    };
    rows.push(row);
    at.set(next.node.key, row);
    push(next.node.key);
  }
  return rows;
}

// The rows on screen and a few beside them, so that a long tree costs what a short one does.
export function visible(count: number, rowHeight: number, scrollTop: number, height: number, beside = 6): [number, number] {
  const first = Math.min(count, Math.max(0, Math.floor(scrollTop / rowHeight) - beside));
  const last = Math.min(count, Math.ceil((scrollTop + height) / rowHeight) + beside);
  return [first, Math.max(first, last)];
}
