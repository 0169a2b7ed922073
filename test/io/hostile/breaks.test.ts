import { ENDS, RESETS } from "./tables/breaks.ts";
import { hostileTable } from "./tables/table.ts";

hostileTable("A server that resets the connection", RESETS);
hostileTable("A server that ends the connection", ENDS);
