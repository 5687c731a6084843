package relay

import (
	"crypto/rand"
	"errors"
	"math/big"
	"net"
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

// Listen opens the relay's socket.
func Listen(port int) (*net.TCPListener, error) {
	return net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
}
