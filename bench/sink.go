package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// sink is an SMTP server that throws mails away: it counts, and costs as little as a server in Go can, for both
// sides alike. (The harness's own keeps every mail.)
type sink struct {
	port     int
	delay    atomic.Int64 // before the reply to the final dot, in ns
	stalled  atomic.Bool  // no reply to anything
	taken    atomic.Int64
	resets   atomic.Int64             // of those, Postroom's mails with a link to a new password
	order    atomic.Pointer[arrivals] // the numbers in subjects, where somebody wants them
	lastAt   atomic.Int64             // when the last mail was taken, in ns since the epoch
	mu       sync.Mutex
	listener net.Listener
	conns    map[net.Conn]bool
}

func startSink() (*sink, error) {
	s := &sink{conns: map[net.Conn]bool{}}
	if err := s.up(); err != nil {
		return nil, err
	}
	return s, nil
}

// up opens the port, the same again after down.
func (s *sink) up() error {
	listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: s.port})
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.listener, s.port = listener, listener.Addr().(*net.TCPAddr).Port
	s.mu.Unlock()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns[conn] = true
			s.mu.Unlock()
			go s.serve(conn)
		}
	}()
	return nil
}

// down refuses and cuts every connection.
func (s *sink) down() {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.listener.Close()
	for conn := range s.conns {
		_ = conn.Close()
	}
}

func (s *sink) serve(conn net.Conn) {
	defer func() {
		_ = conn.Close()
		s.mu.Lock()
		delete(s.conns, conn)
		s.mu.Unlock()
	}()
	in := bufio.NewReaderSize(conn, 64<<10)
	say := func(reply string) bool {
		for s.stalled.Load() {
			time.Sleep(20 * time.Millisecond)
		}
		_, err := conn.Write([]byte(reply + "\r\n"))
		return err == nil
	}
	for ok := say("220 sink.test ESMTP"); ok; {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return
		}
		switch strings.ToUpper(string(line[:min(4, len(line))])) {
		case "EHLO":
			ok = say("250-sink.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250 SIZE 10485760")
		case "DATA":
			if ok = say("354 Go on"); !ok {
				return
			}
			for {
				line, err = in.ReadSlice('\n')
				if err != nil && err != bufio.ErrBufferFull {
					return
				}
				if len(line) == 3 && string(line) == ".\r\n" {
					break
				}
				s.note(line)
			}
			time.Sleep(time.Duration(s.delay.Load()))
			s.taken.Add(1)
			s.lastAt.Store(time.Now().UnixNano())
			ok = say("250 2.0.0 Ok")
		case "QUIT":
			_ = say("221 2.0.0 Bye")
			return
		default:
			ok = say("250 2.0.0 Ok")
		}
	}
}

// note looks at a line of a mail for what somebody counts.
func (s *sink) note(line []byte) {
	var number int
	switch order := s.order.Load(); {
	case order == nil:
	case bytes.HasPrefix(line, []byte("Subject: [")):
		if _, err := fmt.Sscanf(string(line), "Subject: [%d]", &number); err == nil {
			order.add(number)
		}
	case bytes.Contains(line, []byte("/plugins/postroom/reset?")):
		s.resets.Add(1)
	}
}
