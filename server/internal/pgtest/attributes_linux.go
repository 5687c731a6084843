package pgtest

import "syscall"

// attributes let the server die with the tests, however they end.
func attributes(user *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: user, Pdeathsig: syscall.SIGQUIT, Setpgid: true}
}
