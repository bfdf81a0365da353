// Package sdk is all that a worker author imports.
package sdk
