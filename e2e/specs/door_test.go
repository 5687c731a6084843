package specs

import (
	"bufio"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"postroom/e2e/harness"
)

// door: S30 and R5 on the relay's port, as Mattermost's settings name it.
func (u *unlucky) door(t *testing.T) {
	t.Run("it listens on 127.0.0.1 alone", func(t *testing.T) {
		_, port, err := net.SplitHostPort(u.relay.Address)
		check(t, err)
		var number int
		_ = must(fmt.Sscan(port, &number))(t)
		suffix := ":" + strings.ToUpper(hex.EncodeToString([]byte{byte(number >> 8), byte(number)}))
		var listening []string
		for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
			lines, _ := os.ReadFile(table) // there is no tcp6 where there is no IPv6
			for line := range strings.Lines(string(lines)) {
				if columns := strings.Fields(line); len(columns) > 3 && columns[3] == "0A" && strings.HasSuffix(columns[1], suffix) {
					listening = append(listening, columns[1])
				}
			}
		}
		if len(listening) != 1 || listening[0] != "0100007F"+suffix {
			t.Errorf("listening: %v", listening)
		}
	})
	t.Run("a client without TLS learns nothing", func(t *testing.T) {
		conn := must(net.Dial("tcp", u.relay.Address))(t)
		defer func() { _ = conn.Close() }()
		_ = must(conn.Write([]byte("EHLO stranger\r\nMAIL FROM:<a@b.test>\r\n")))(t)
		check(t, conn.SetReadDeadline(time.Now().Add(20*time.Second)))
		said := make([]byte, 1024)
		n, _ := conn.Read(said)
		if text := string(said[:n]); strings.Contains(text, "220") || strings.Contains(text, "250") || strings.Contains(strings.ToLower(text), "postroom") {
			t.Errorf("%q", text)
		}
	})
	t.Run("nothing without a login, nor after it about who is there", func(t *testing.T) {
		in := u.connect(t)
		defer in.close()
		in.expect(t, "EHLO stranger", "250")
		for _, command := range []string{"MAIL FROM:<a@b.test>", "RCPT TO:<admin@example.com>", "DATA"} {
			if reply := in.say(t, command); reply[0] != '5' {
				t.Errorf("%s without a login: %s", command, reply)
			}
		}
		for _, command := range []string{"VRFY admin@example.com", "EXPN admin", "VRFY nobody@example.com"} {
			reply := in.say(t, command)
			if reply[:3] != "252" && reply[0] != '5' || strings.Contains(reply, "admin") {
				t.Errorf("%s: %s", command, reply)
			}
		}
	})
	t.Run("another user of this machine", func(t *testing.T) {
		said := must(house.stage.SubmitAsNobody(harness.Submission{Address: u.relay.Address}))(t)
		if !strings.Contains(said, "530") {
			t.Errorf("without a password: %s", said)
		}
		said = must(house.stage.SubmitAsNobody(harness.Submission{Address: u.relay.Address, Username: u.relay.Username, Password: "guessed"}))(t)
		if !strings.Contains(said, "535") {
			t.Errorf("with another password: %s", said)
		}
	})
	t.Run("a client that says an octet a second", func(t *testing.T) { // R5
		var slow []*talk
		for range 20 {
			slow = append(slow, u.connect(t))
		}
		started := time.Now()
		u.hand(t, "overtakes")
		if took := time.Since(started); took > 10*time.Second {
			t.Errorf("another mail was taken after %s", took)
		}
		// 15 s for a login, whoever drips.
		for _, in := range slow {
			go func() {
				for _, octet := range []byte("EHLO a-name-that-takes-long-to-say.example.com") {
					if _, err := in.Write([]byte{octet}); err != nil {
						return
					}
					time.Sleep(time.Second)
				}
			}()
		}
		for _, in := range slow {
			check(t, in.SetReadDeadline(started.Add(40*time.Second)))
			if line, err := in.in.ReadString('\n'); err == nil && !strings.HasPrefix(line, "4") {
				t.Errorf("it was answered %q", line)
			} else if time.Since(started) > 35*time.Second {
				t.Errorf("it was let go after %s: %v", time.Since(started), err)
			}
			in.close()
		}
	})
}

// atOnce: R22. Two hundred mails at once, a connection for each, BODY=8BITMIME, and no QUIT.
func (u *unlucky) atOnce(t *testing.T) {
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() {
			id := fmt.Sprint("atonce", i)
			if how, err := u.relay.Send(id+"@sender.test", faultAddress(id), notification(id)); how != harness.Accepted {
				t.Errorf("%s: %s %v", id, how, err)
			}
		})
	}
	all.Wait()
}

// talk is a connection to the relay.
type talk struct {
	*tls.Conn
	in *bufio.Reader
}

// connect reads the greeting.
func (u *unlucky) connect(t *testing.T) *talk {
	t.Helper()
	conn := must(tls.Dial("tcp", u.relay.Address, &tls.Config{InsecureSkipVerify: true}))(t) // as Mattermost is told to
	check(t, conn.SetDeadline(time.Now().Add(time.Minute)))
	in := &talk{conn, bufio.NewReader(conn)}
	if line := must(in.in.ReadString('\n'))(t); !strings.HasPrefix(line, "220 ") {
		t.Fatal(line)
	}
	return in
}

func (in *talk) close() { _ = in.Close() }

// say gives the last line of the reply.
func (in *talk) say(t *testing.T, command string) string {
	t.Helper()
	_ = must(in.Write([]byte(command + "\r\n")))(t)
	for {
		line := strings.TrimRight(must(in.in.ReadString('\n'))(t), "\r\n")
		if len(line) < 4 || line[3] != '-' {
			return line
		}
	}
}

func (in *talk) expect(t *testing.T, command, code string) {
	t.Helper()
	if reply := in.say(t, command); !strings.HasPrefix(reply, code) {
		t.Fatalf("%s: %s", command, reply)
	}
}
