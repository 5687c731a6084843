package harness

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// PostfixSink is Postfix's own test server, smtp-sink(1): software that is not ours at the other end.
type PostfixSink struct {
	*Process
	Port int
	dir  string
}

// FindTool finds a program, also in the folders for system programs, which a plain user's PATH may lack.
func FindTool(name string) (string, error) {
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/sbin", "/sbin") {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && !info.IsDir() && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not installed", name)
}

// StartPostfixSink runs smtp-sink on a free port, each mail in a file.
func (s *Stage) StartPostfixSink(options ...string) (*PostfixSink, error) {
	program, err := FindTool("smtp-sink")
	if err != nil {
		return nil, err
	}
	cred, err := otherUser()
	if err != nil {
		return nil, err
	}
	dir, err := s.Folder("smtp-sink")
	if err != nil {
		return nil, err
	}
	if err := giveAway(dir, cred); err != nil {
		return nil, err
	}
	port, err := FreePort()
	if err != nil {
		return nil, err
	}
	address := fmt.Sprintf("127.0.0.1:%d", port)
	cmd := exec.Command(program, append(options, "-d", "mail.", address, "100")...)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: cred}
	process, err := s.Start("smtp-sink", dir, cmd)
	if err != nil {
		return nil, err
	}
	return &PostfixSink{Process: process, Port: port, dir: dir}, Eventually(10*time.Second, func() error {
		if err := process.Ended(); err != nil {
			return err
		}
		conn, err := net.Dial("tcp", address)
		if err == nil {
			_ = conn.Close()
		}
		return err
	})
}

// To gives Postroom's mails for an address.
func (p *PostfixSink) To(address string) ([]*Message, error) { return onlyOurs(p.All(address)) }

// All gives every mail for an address. A file begins with lines of smtp-sink's own (X-Client-Addr, X-Mail-Args,
// X-Rcpt-Args, Received), and has bare line feeds.
func (p *PostfixSink) All(address string) ([]*Message, error) {
	files, err := filepath.Glob(filepath.Join(p.dir, "mail.*"))
	if err != nil {
		return nil, err
	}
	var out []*Message
	for _, file := range files {
		// A file that just grew may not be whole yet.
		if info, err := os.Stat(file); err != nil || time.Since(info.ModTime()) < 200*time.Millisecond {
			continue
		}
		dump, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		if !bytes.Contains(dump, []byte("<"+address+">")) {
			continue
		}
		message, err := ParseMessage(dump)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		if strings.Contains(message.Header.Get("X-Rcpt-Args"), "<"+address+">") {
			message.EnvelopeFrom = path(message.Header.Get("X-Mail-Args"))
			out = append(out, message)
		}
	}
	return out, nil
}

// Inbox is a sink of either kind.
type Inbox interface {
	To(address string) ([]*Message, error)
}

// WaitMail waits until the inbox has the given number of mails for the address, and gives the last.
func WaitMail(inbox Inbox, address string, number int, limit time.Duration) (*Message, error) {
	var last *Message
	err := Eventually(limit, func() error {
		mails, err := inbox.To(address)
		if err != nil {
			return err
		}
		if len(mails) < number {
			return fmt.Errorf("%d of %d mails for %s have come", len(mails), number, address)
		}
		last = mails[len(mails)-1]
		return nil
	})
	return last, err
}
