package link

import (
	"fmt"
	"net"
	"syscall"
	"unsafe"
)

// xucred is struct xucred of <sys/ucred.h>, which the standard library lacks.
type xucred struct {
	Version uint32
	UID     uint32
	NGroups int16
	_       int16
	Groups  [16]uint32
}

// PeerUID asks the kernel whose process is at the other end (unix(4), LOCAL_PEERCRED).
func PeerUID(conn *net.UnixConn) (int, error) {
	const solLocal, localPeercred = 0, 1
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred xucred
	size := uint32(unsafe.Sizeof(cred))
	var errno syscall.Errno
	if err := raw.Control(func(fd uintptr) {
		_, _, errno = syscall.Syscall6(syscall.SYS_GETSOCKOPT, fd, solLocal, localPeercred,
			uintptr(unsafe.Pointer(&cred)), uintptr(unsafe.Pointer(&size)), 0)
	}); err != nil {
		return 0, err
	}
	if errno != 0 {
		return 0, fmt.Errorf("LOCAL_PEERCRED: %w", errno)
	}
	return int(cred.UID), nil
}
