// The samples that the core's tests of the relay run over: what a real Mattermost sends, of every kind that is easily
// caused, in three languages, written to core/tests/relay with its tokens replaced by made-up ones of the same shape.
package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"postroom/e2e/harness"
)

// siteURL is what every link begins with; the server is reached at its port all the same.
const siteURL = "https://chat.example.com"

func main() {
	harness.Main()
	stage, err := harness.NewStage(os.Stderr)
	if err == nil {
		stage.CloseOnSignal()
		err = run(stage)
		stage.Close()
	}
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

type capture struct {
	stage *harness.Stage
	node  *harness.Node
	admin *harness.Client
	sink  *harness.Sink
	team  string
	seen  int
	dir   string
}

func run(stage *harness.Stage) error {
	postgres, err := stage.StartPostgres()
	if err != nil {
		return err
	}
	dataSource, err := postgres.Database("mattermost")
	if err != nil {
		return err
	}
	c := &capture{stage: stage, dir: filepath.Join(stage.Root, "core", "tests", "relay")}
	if c.sink, err = stage.StartSink(); err != nil {
		return err
	}
	if c.node, err = stage.StartNode(harness.NodeConfig{DataSource: dataSource, SiteURL: siteURL}); err != nil {
		return err
	}
	if c.admin, err = c.node.Client.Setup(); err != nil {
		return err
	}
	if err := c.admin.UseSMTP(c.sink.Port); err != nil {
		return err
	}
	if c.team, err = c.admin.NewTeam("crew"); err != nil {
		return err
	}
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return err
	}
	for _, locale := range []string{"en", "de", "ja"} {
		if err := c.all(locale); err != nil {
			return fmt.Errorf("%s: %w", locale, err)
		}
	}
	return nil
}

// all causes one mail after the other to a new account and writes each; the mention quotes a link of Mattermost's own
// form, as anybody may.
func (c *capture) all(locale string) error {
	return (&harness.Correspondence{
		Client: c.node.Client, Admin: c.admin, Team: c.team, Name: "anna." + locale, Other: "bert." + locale, Locale: locale,
		Quoted: siteURL + "/reset_password_complete?token=" + strings.Repeat("q", 64),
		Caused: func(kind, to string) error { return c.write(kind, locale, to) },
	}).Run()
}

// tokens are those of links, `token=` or `t=` before them, in quoted-printable: a line may break anywhere.
var tokens = regexp.MustCompile(`([tn](?:=\r\n)?=3D)((?:(?:=\r\n)?[0-9a-z]){64})`)

// write waits for the next mail to an address and writes it, its envelope beside it.
func (c *capture) write(kind, locale, to string) error {
	var mail harness.Received
	if err := harness.Eventually(20*time.Second, func() error {
		mails := c.sink.Mails()
		for at := c.seen; at < len(mails); at++ {
			if len(mails[at].To) > 0 && mails[at].To[0] == to {
				mail, c.seen = mails[at], at+1
				return nil
			}
		}
		return fmt.Errorf("no %s mail came to %s", kind, to)
	}); err != nil {
		return err
	}
	data := tokens.ReplaceAllFunc(mail.Data, func(found []byte) []byte {
		parts := tokens.FindSubmatch(found)
		return append(append([]byte(nil), parts[1]...), madeUp(string(parts[2]))...)
	})
	envelope, err := json.Marshal(map[string]any{"from": mail.From, "to": mail.To})
	if err != nil {
		return err
	}
	base := filepath.Join(c.dir, kind+"."+locale)
	if err := os.WriteFile(base+".envelope.json", append(envelope, '\n'), 0o644); err != nil {
		return err
	}
	c.stage.Say("%s", base)
	return os.WriteFile(base+".eml", data, 0o644)
}

// madeUp replaces a token by its hash in the same alphabet, soft line breaks left where they are.
func madeUp(token string) []byte {
	hash := fmt.Sprintf("%x", sha256.Sum256([]byte(strings.ReplaceAll(token, "=\r\n", ""))))
	var out []byte
	for at := 0; at < len(token); {
		if strings.HasPrefix(token[at:], "=\r\n") {
			out, at = append(out, "=\r\n"...), at+3
			continue
		}
		out, hash, at = append(out, hash[0]), hash[1:], at+1
	}
	return out
}
