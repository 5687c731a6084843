// The stage for the browser tests: a real Mattermost with the plugin, and a small control API on loopback that
// makes accounts and hands out the links they were mailed. Prints one line of JSON when ready; ends with its
// standard input.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"postroom/e2e/harness"
)

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

type control struct {
	node     *harness.Node
	admin    *harness.Client
	sink     *harness.Sink
	accounts int
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
	c := &control{}
	if c.sink, err = stage.StartSink(); err != nil {
		return err
	}
	if c.node, err = stage.StartNode(harness.NodeConfig{DataSource: dataSource}); err != nil {
		return err
	}
	if c.admin, err = c.node.Client.Setup(); err != nil {
		return err
	}
	if err := c.admin.UseSMTP(c.sink.Port); err != nil {
		return err
	}
	if err := c.admin.Patch(map[string]any{"TeamSettings": map[string]any{"SiteName": "Acme Chat"}}); err != nil {
		return err
	}
	if err := c.admin.Settings(map[string]any{"LimitAccountPerHour": 0, "LimitClientPerMinute": 0, "LimitTotalPerMinute": 0}); err != nil {
		return err
	}
	if err := c.admin.Upload(filepath.Join(stage.Root, ".build", "bundle", "postroom.tar.gz")); err != nil {
		return err
	}
	if err := c.admin.Enable(); err != nil {
		c.node.KeepLogs("browser")
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /account", c.account)
	mux.HandleFunc("GET /login", c.login)
	go func() { _ = http.Serve(listener, mux) }()
	ready, err := json.Marshal(map[string]any{
		"control": "http://" + listener.Addr().String(), "base": c.node.Client.Base,
		"admin": map[string]string{"username": "admin", "password": harness.Password},
	})
	if err != nil {
		return err
	}
	fmt.Println(string(ready))
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// account makes an account of a locale and answers with the mail of a kind (reset, verify) that it was sent.
func (c *control) account(w http.ResponseWriter, r *http.Request) {
	c.accounts++
	user, err := c.admin.CreateUser(fmt.Sprintf("reader%d", c.accounts), r.URL.Query().Get("locale"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	request := c.node.Client.RequestReset
	if r.URL.Query().Get("kind") == "verify" {
		request = c.node.Client.RequestVerification
	}
	if reply, err := request(user.Email); err != nil || reply.Status != http.StatusOK {
		http.Error(w, fmt.Sprint(reply, err), http.StatusInternalServerError)
		return
	}
	mail, err := harness.WaitMail(c.sink, user.Email, 1, 30*time.Second)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	link, _, err := mail.Link()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]string{
		"username": user.Username, "password": user.Password, "link": link.String(), "html": mail.HTML, "subject": mail.Subject,
	})
}

// login answers 204 when the password is the account's, and 401 when not.
func (c *control) login(w http.ResponseWriter, r *http.Request) {
	status := http.StatusNoContent
	if _, err := c.node.Client.Login(r.URL.Query().Get("username"), r.URL.Query().Get("password")); err != nil {
		status = http.StatusUnauthorized
	}
	w.WriteHeader(status)
}
