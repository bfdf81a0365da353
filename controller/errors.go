package controller

import "errors"

// errNoChange says that a decision leaves the task as it is.
var errNoChange = errors.New("nothing changes")
