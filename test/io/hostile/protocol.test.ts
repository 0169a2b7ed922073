import { CHUNKS, FLOODS, GARBLED, INTERIM, LENGTHS } from "./tables/protocol.ts";
import { hostileTable } from "./tables/table.ts";

hostileTable("A server that does not speak HTTP", GARBLED);
hostileTable("A server that lies about lengths", LENGTHS);
hostileTable("A server that garbles chunks", CHUNKS);
hostileTable("A server that answers before it answers", INTERIM);
hostileTable("A server that floods", FLOODS);
