import { LOOKUP, MINT, SEARCH, VERIFY } from "./tables/places.ts";
import { hostileTable } from "./tables/table.ts";
import { LATE, REFUSED } from "./tables/time.ts";

hostileTable("A server that takes its time", LATE, {
  places: [MINT, LOOKUP, SEARCH, VERIFY],
  concurrent: true,
});
hostileTable("A server that refuses and takes its time", REFUSED);
