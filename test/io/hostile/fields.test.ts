import {
  EXIT_CODE_FIELDS,
  LOOKUP_FIELDS,
  MINT_FIELDS,
  SEARCH_FIELDS,
  VERIFY_FIELDS,
} from "./tables/fields.ts";
import { LOOKUP, MINT, SEARCH, VERIFY } from "./tables/places.ts";
import { hostileTable } from "./tables/table.ts";

hostileTable("A minting with an odd field", MINT_FIELDS, { places: [MINT] });
hostileTable("A look-up with an odd field", LOOKUP_FIELDS, { places: [LOOKUP] });
hostileTable("A search with an odd field", SEARCH_FIELDS, { places: [SEARCH] });
hostileTable("A search with an odd exit code", EXIT_CODE_FIELDS, { places: [SEARCH] });
hostileTable("A verify endpoint with an odd field", VERIFY_FIELDS, { places: [VERIFY] });
