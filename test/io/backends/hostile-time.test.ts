import { LOOKUP, MINT, SEARCH, VERIFY } from "./hostile/places.ts";
import { hostileTable } from "./hostile/table.ts";
import { LATE, REFUSED } from "./hostile/time.ts";

hostileTable("A server that takes its time", LATE, {
  places: [MINT, LOOKUP, SEARCH, VERIFY],
  concurrent: true,
});
hostileTable("A server that refuses and takes its time", REFUSED);
