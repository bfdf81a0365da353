// Package controller decides: it accepts tasks, places them, applies reports and watches over nodes.
package controller
