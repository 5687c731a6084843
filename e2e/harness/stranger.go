package harness

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"sync"
)

// Stranger is a program that listens on somebody else's port, speaks enough SMTP over TLS to be told everything, and
// writes down what it is told.
type Stranger struct {
	listener net.Listener
	mu       sync.Mutex
	heard    []string
}

// StartStranger takes the address, which must be free.
func (s *Stage) StartStranger(address, dir string) (*Stranger, error) {
	if err := selfSigned(dir); err != nil {
		return nil, err
	}
	certificate, err := tls.LoadX509KeyPair(dir+"/cert.pem", dir+"/key.pem")
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	stranger := &Stranger{listener: listener}
	s.OnClose(stranger.Leave)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go stranger.listen(tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{certificate}}))
		}
	}()
	return stranger, nil
}

func (s *Stranger) listen(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	if _, err := fmt.Fprint(conn, "220 stranger.test ESMTP\r\n"); err != nil {
		return
	}
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		line := lines.Text()
		s.mu.Lock()
		s.heard = append(s.heard, line)
		s.mu.Unlock()
		reply := "250 2.0.0 Ok"
		switch verb, _, _ := strings.Cut(strings.ToUpper(line), " "); verb {
		case "EHLO":
			reply = "250-stranger.test\r\n250 AUTH PLAIN LOGIN"
		case "AUTH":
			reply = "235 2.7.0 Ok"
		case "DATA":
			reply = "354 Go on"
		}
		_, _ = fmt.Fprint(conn, reply+"\r\n")
	}
}

// Heard is every line that it was told.
func (s *Stranger) Heard() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.heard...)
}

// Leave frees the port.
func (s *Stranger) Leave() { _ = s.listener.Close() }
