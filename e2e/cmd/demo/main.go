// The demo: a real Mattermost server with Postroom installed, and a forgotten password from request to login.
// It needs no root, nothing installed, and no answer from whoever watches. DEMO=keep leaves everything running
// until Ctrl-C.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"postroom/e2e/harness"
)

func main() {
	harness.Main()
	stage, err := harness.NewStage(os.Stdout)
	if err != nil {
		fail(err)
	}
	stage.CloseOnSignal()
	err = play(stage)
	stage.Close()
	if err != nil {
		fail(err)
	}
}

func fail(err error) {
	_, _ = fmt.Fprintln(os.Stderr, "\nThe demo stopped:", err)
	os.Exit(1)
}

// step prints a heading.
func step(title string) { fmt.Printf("\n\033[1m== %s\033[0m\n", title) }

func play(stage *harness.Stage) error {
	step("A real Mattermost server")
	postgres, err := stage.StartPostgres()
	if err != nil {
		return err
	}
	database, err := postgres.Database("mattermost")
	if err != nil {
		return err
	}
	stage.Say("Mattermost: starting on an empty database")
	node, err := stage.StartNode(harness.NodeConfig{DataSource: database})
	if err != nil {
		return err
	}
	admin, err := node.Client.Setup()
	if err != nil {
		return err
	}
	if err := admin.Patch(map[string]any{"TeamSettings": map[string]any{"SiteName": "Acme Chat"}}); err != nil {
		return err
	}
	anna, err := admin.CreateUser("anna", "en")
	if err != nil {
		return err
	}
	stage.Say("the accounts admin and %s are made", anna.Username)

	step("Postroom is installed through the API")
	if err := admin.Upload(filepath.Join(stage.Root, ".build", "bundle", "postroom.tar.gz")); err != nil {
		return err
	}
	stage.Say("the bundle is uploaded; switching it on")
	if err := admin.Enable(); err != nil {
		node.KeepLogs("demo")
		return fmt.Errorf("%w (the logs are in e2e/.out/logs/demo)", err)
	}
	sink, err := stage.StartSink()
	if err != nil {
		return err
	}
	if err := admin.UseSMTP(sink.Port); err != nil {
		return err
	}
	if err := waitConnection(admin, "mattermost"); err != nil {
		return err
	}
	status, err := admin.Status()
	if err != nil {
		return err
	}
	stage.Say("Postroom is %s; mail goes by Mattermost's own SMTP settings, to 127.0.0.1:%d (connection: %s)", status.State, sink.Port, status.Connection)

	story := &story{stage: stage, node: node, admin: admin, anna: anna, sink: sink}
	for _, chapter := range []func() error{story.forgottenPassword, story.verification, story.testMail, story.relay} {
		if err := chapter(); err != nil {
			node.KeepLogs("demo")
			return fmt.Errorf("%w (the logs are in e2e/.out/logs/demo)", err)
		}
	}
	if os.Getenv("DEMO") == "keep" {
		return keep(stage, node, sink)
	}
	step("Done: stopping what was started")
	return nil
}

// waitConnection waits until the plugin has taken a change of Mattermost's mail settings in.
func waitConnection(admin *harness.Client, want string) error {
	return harness.Eventually(waitLimit, func() error {
		status, err := admin.Status()
		if err == nil && status.Connection != want {
			err = fmt.Errorf("the plugin still uses the connection %s", status.Connection)
		}
		return err
	})
}

func keep(stage *harness.Stage, node *harness.Node, sink *harness.Sink) error {
	step("Left running until Ctrl-C")
	fmt.Printf("  Mattermost      %s (no web app of its own: its API and the plugin's pages)\n", node.Client.Base)
	fmt.Printf("  admin           login admin, password %s\n", harness.Password)
	fmt.Printf("  mail sink       127.0.0.1:%d\n", sink.Port)
	fmt.Printf("  outbox          %s%s/api/v1/mails\n", node.Client.Base, harness.Plugin)
	fmt.Printf("  logs            %s\n", node.Dir)
	fmt.Printf("  a reset         curl -d '{\"email\":\"anna@example.com\"}' %s%s/api/v4/users/password/reset/send\n", node.Client.Base, harness.Plugin)
	seen := len(sink.Mails())
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, os.Interrupt, syscall.SIGTERM)
	for {
		if err := harness.Eventually(tick, func() error {
			if len(sink.Mails()) == seen {
				return errNothingNew
			}
			return nil
		}); err == nil {
			for _, mail := range sink.Mails()[seen:] {
				printMail(mail.Data)
			}
			seen = len(sink.Mails())
		}
		select {
		case <-ended: // the stage closes itself
			select {}
		case <-node.Done():
			return node.Ended()
		default:
		}
	}
}

// printMail shows a mail as it came over the wire, its HTML part cut short.
func printMail(raw []byte) {
	fmt.Println()
	const most = 60
	lines := strings.Split(strings.TrimRight(string(raw), "\r\n"), "\n")
	for i, line := range lines {
		if i == most {
			fmt.Printf("  │ … %d more lines\n", len(lines)-most)
			break
		}
		fmt.Printf("  │ %s\n", strings.TrimRight(line, "\r"))
	}
	fmt.Println()
}
