// Command worker is what the benchmarks launch: it notes when Main began, and does as its attachments say.
package main
