import { LOOKUP, MINT, SEARCH, VERIFY } from "./tables/places.ts";
import { hostileTable } from "./tables/table.ts";
import {
  LOOKUP_TEXTS,
  MINT_TEXTS,
  SEARCH_TEXTS,
  VERIFY_BYTES,
  VERIFY_TEXTS,
} from "./tables/texts.ts";

hostileTable("A minting with an odd text", MINT_TEXTS, { places: [MINT] });
hostileTable("A look-up with an odd text", LOOKUP_TEXTS, { places: [LOOKUP] });
hostileTable("A search with an odd text", SEARCH_TEXTS, { places: [SEARCH] });
hostileTable("A verify endpoint with an odd text", VERIFY_TEXTS, { places: [VERIFY] });
hostileTable("A verify endpoint with bytes that are no text", VERIFY_BYTES, { places: [VERIFY] });
