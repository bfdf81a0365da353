package main

import "syscall"

// tied makes a child die with the thread that forks it, see main.
func tied() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

// apart gives a child a session of its own, so that no signal of the terminal reaches it.
func apart() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }
