package relay

import (
	"context"
	"crypto/rand"
	"errors"
	"math/big"
	"net"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// Ports that a relay may have: below those that the kernel gives to outgoing connections (from 32768 on Linux, 49152
// elsewhere), which could take one while no relay runs.
const (
	lowestPort = 20000
	portCount  = 10000
)

// FreePort is one of 127.0.0.1's that nobody listens on, by chance: no other program can count on having it.
func FreePort() (int, error) {
	for range 100 {
		offset, err := rand.Int(rand.Reader, big.NewInt(portCount))
		if err != nil {
			return 0, err
		}
		port := lowestPort + int(offset.Int64())
		socket, err := Listen(port)
		if err != nil {
			continue
		}
		return port, socket.Close()
	}
	return 0, errors.New("no port of 127.0.0.1 is free for the relay")
}

// Listen opens the relay's socket. It shares the port with other processes of our own user (SO_REUSEPORT lets in nobody
// else): several nodes on one machine take mail side by side.
func Listen(port int) (*net.TCPListener, error) {
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var set error
		err := raw.Control(func(fd uintptr) { set = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
		return errors.Join(err, set)
	}}
	listener, err := config.Listen(context.Background(), "tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return nil, err
	}
	return listener.(*net.TCPListener), nil
}
