package main

import "syscall"

// tied makes a child die with the thread that forks it, see main.
func tied() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
