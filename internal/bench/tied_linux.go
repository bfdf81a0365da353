package main

import "syscall"

// tied makes a child die with the thread that forks it, which is the one that main has locked.
func tied() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
