import { ENDS, RESETS } from "./hostile/breaks.ts";
import { hostileTable } from "./hostile/table.ts";

hostileTable("A server that resets the connection", RESETS);
hostileTable("A server that ends the connection", ENDS);
