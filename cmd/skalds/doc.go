// Command skalds is the one program of Skalds: a controller, a host, or both with their servers (`skalds standalone`), and
// the commands by which people use them.
//
// It only wires: it reads the settings (internal/conf), puts the parts together and joins their services. What the parts
// do stands in controller, host and plugins; the commands that speak to a controller stand in internal/cli.
package main
