package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"time"

	"postroom/e2e/harness"
)

// postfix is a whole Postfix of its own on loopback, as Debian sets it up, that hands every mail to the sink: what the
// relay is compared with. It listens twice, with TLS from the first octet and in clear text.
type postfix struct {
	plain, tls int // ports
	process    *harness.Process
}

const postfixSettings = `compatibility_level = 3.6
queue_directory = %[1]s/spool
data_directory = %[1]s/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = postfix.test
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mydestination =
mynetworks = 127.0.0.0/8
relayhost = [127.0.0.1]:%[2]d
smtp_dns_support_level = disabled
smtpd_peername_lookup = no
smtpd_tls_security_level = may
smtpd_tls_chain_files = %[1]s/chain.pem
alias_maps =
local_transport = error:no
maillog_file = %[1]s/mail.log
maillog_file_prefixes = %[1]s
`

const postfixServices = `127.0.0.1:%[1]d inet n - n - - smtpd
127.0.0.1:%[2]d inet n - n - - smtpd -o smtpd_tls_wrappermode=yes
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
`

// startPostfix runs it; it has to be root, as Postfix' master process must.
func (b *bench) startPostfix() (*postfix, error) {
	program, err := harness.FindTool("postfix")
	if err != nil {
		return nil, err
	}
	if os.Geteuid() != 0 {
		return nil, errors.New("the master process of Postfix runs only as root: be root, or choose other parts with -only")
	}
	dir, err := b.stage.Folder("postfix")
	if err != nil {
		return nil, err
	}
	p := &postfix{}
	for _, port := range []*int{&p.plain, &p.tls} {
		if *port, err = harness.FreePort(); err != nil {
			return nil, err
		}
	}
	chain, err := harness.SelfSigned(dir)
	if err != nil {
		return nil, err
	}
	for name, content := range map[string]string{
		"main.cf": fmt.Sprintf(postfixSettings, dir, b.sink.port), "master.cf": fmt.Sprintf(postfixServices, p.plain, p.tls), "chain.pem": chain,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			return nil, err
		}
	}
	for _, folder := range []string{"spool", "data"} {
		if err := os.Mkdir(filepath.Join(dir, folder), 0o755); err != nil {
			return nil, err
		}
	}
	owner, err := user.Lookup("postfix")
	if err != nil {
		return nil, err
	}
	uid, _ := strconv.Atoi(owner.Uid)
	gid, _ := strconv.Atoi(owner.Gid)
	if err := os.Chown(filepath.Join(dir, "data"), uid, gid); err != nil {
		return nil, err
	}
	// It makes the folders of its queue and complains of what it misses of a whole installation.
	if said, err := exec.Command(program, "-c", dir, "check").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("postfix check: %w: %s", err, said)
	}
	if p.process, err = b.stage.Start("postfix", dir, exec.Command(program, "-c", dir, "start-fg")); err != nil {
		return nil, err
	}
	b.stage.OnClose(func() { _ = exec.Command(program, "-c", dir, "stop").Run() })
	return p, harness.Eventually(10*time.Second, func() error {
		if err := p.process.Ended(); err != nil {
			return err
		}
		_, err := harness.Submission{Address: fmt.Sprintf("127.0.0.1:%d", p.tls)}.Send("a@example.com", "b@example.com", []byte("Subject: ready\r\n\r\nready\r\n"))
		return err
	})
}
