package harness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
)

// narrow listens where as little as can be waits in buffers, so that a peer that reads nothing holds its sender up.
var narrow = net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) (err error) {
	outer := raw.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 16<<10) })
	return errors.Join(outer, err)
}}

// Forwarder passes connections on to a port that may change, so that another server stands behind the same address.
type Forwarder struct {
	Port int
	to   atomic.Int64
}

// StartForwarder listens on a free port of 127.0.0.1 and passes on to the other.
func (s *Stage) StartForwarder(to int) (*Forwarder, error) {
	listener, err := narrow.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	f := &Forwarder{Port: listener.Addr().(*net.TCPAddr).Port}
	f.To(to)
	s.OnClose(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go f.pass(conn)
		}
	}()
	return f, nil
}

// To changes where connections made from now on lead.
func (f *Forwarder) To(port int) { f.to.Store(int64(port)) }

// pass ends both connections when either does.
func (f *Forwarder) pass(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	peer, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", f.to.Load()))
	if err != nil {
		return
	}
	defer func() { _ = peer.Close() }()
	_ = peer.(*net.TCPConn).SetWriteBuffer(16 << 10)
	var once sync.Once
	ended := make(chan struct{})
	one := func(to, from net.Conn) {
		_, _ = io.Copy(to, from)
		once.Do(func() { close(ended) })
	}
	go one(peer, conn)
	go one(conn, peer)
	<-ended
}

// StartDeafPort gives a port of 127.0.0.1 that answers no connection: its backlog is full, and nobody accepts.
func (s *Stage) StartDeafPort() (int, error) {
	syscall.ForkLock.RLock()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return 0, err
	}
	s.OnClose(func() { _ = syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return 0, err
	}
	if err := syscall.Listen(fd, 0); err != nil {
		return 0, err
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		return 0, err
	}
	port := name.(*syscall.SockaddrInet4).Port
	for range 4 { // more than it holds
		go func() {
			if conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
				s.OnClose(func() { _ = conn.Close() })
			}
		}()
	}
	return port, nil
}
