// Throws for `/bad/throw`, does not end for `/bad/loop`, recurses for `/bad/recurse`.

import { path } from "witgate:plugin/request@0.1.0";

const recurse = (depth) => 1 + recurse(depth + 1);

export const lifecycle = {
  configure: () => {},
};

export const routing = {
  route() {
    if (path() === "/bad/throw") throw new Error("thrown by JavaScript");
    if (path() === "/bad/recurse") recurse(0);
    while (path() === "/bad/loop");
    return { tag: "pass" };
  },
};

export const rewriting = {
  rewriteRequest: () => [],
  rewriteResponse: () => [],
};
