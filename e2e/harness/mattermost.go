package harness

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// NodeConfig says how a Mattermost node differs from the plain one: http on a free port of 127.0.0.1, SiteURL the
// same, file configuration of its own.
type NodeConfig struct {
	// DataSource is the database's URL.
	DataSource string
	// SiteURL replaces the node's own address; it may have a path.
	SiteURL string
	// TLS makes the node listen with a certificate for 127.0.0.1 that nobody knows.
	TLS bool
	// Env has further MM_ variables, PORT standing for the node's port. What is set so can't be changed through
	// the API.
	Env map[string]string
	// Wrap is put before the server's command line, as in {"unshare", "--pid", "--fork"}.
	Wrap []string
}

// Node is a running Mattermost server.
type Node struct {
	*Process
	Config NodeConfig
	// Dir holds the node's configuration, plugins and logs.
	Dir string
	// Port is where it listens; Client speaks to it there, as nobody.
	Port   int
	Client *Client

	stage *Stage
}

// StartNode starts a server in a folder of its own and waits until it answers.
func (s *Stage) StartNode(config NodeConfig) (*Node, error) {
	built := filepath.Join(s.Root, ".build", "mattermost")
	dir, err := s.Folder("mattermost")
	if err != nil {
		return nil, err
	}
	for _, folder := range []string{"i18n", "templates", "fonts"} {
		if err := os.Symlink(filepath.Join(built, folder), filepath.Join(dir, folder)); err != nil {
			return nil, err
		}
	}
	for _, folder := range []string{"plugins", "data", "logs", "config", "bin", "tmp"} {
		if err := os.Mkdir(filepath.Join(dir, folder), 0o755); err != nil {
			return nil, err
		}
	}
	if err := os.CopyFS(filepath.Join(dir, "client"), os.DirFS(filepath.Join(built, "client"))); err != nil {
		return nil, err
	}
	port, err := FreePort()
	if err != nil {
		return nil, err
	}
	node := &Node{Config: config, Dir: dir, Port: port, stage: s}
	if config.TLS {
		if err := selfSigned(dir); err != nil {
			return nil, err
		}
	}
	return node, node.start()
}

// start runs the server in its folder; it may be called again after the process has ended.
func (n *Node) start() error {
	scheme := "http"
	if n.Config.TLS {
		scheme = "https"
	}
	own := fmt.Sprintf("%s://127.0.0.1:%d", scheme, n.Port)
	siteURL := n.Config.SiteURL
	if siteURL == "" {
		siteURL = own
	}
	env := map[string]string{
		"MM_SQLSETTINGS_DRIVERNAME":                     "postgres",
		"MM_SQLSETTINGS_DATASOURCE":                     n.Config.DataSource,
		"MM_SERVICESETTINGS_LISTENADDRESS":              fmt.Sprintf("127.0.0.1:%d", n.Port),
		"MM_SERVICESETTINGS_SITEURL":                    siteURL,
		"MM_SERVICESETTINGS_ENABLESECURITYFIXALERT":     "false",
		"MM_SERVICESETTINGS_ENABLELOCALMODE":            "false",
		"MM_LOGSETTINGS_ENABLEDIAGNOSTICS":              "false",
		"MM_LOGSETTINGS_ENABLECONSOLE":                  "false",
		"MM_LOGSETTINGS_ENABLEFILE":                     "true",
		"MM_LOGSETTINGS_FILELEVEL":                      "DEBUG",
		"MM_LOGSETTINGS_FILELOCATION":                   filepath.Join(n.Dir, "logs"),
		"MM_ANNOUNCEMENTSETTINGS_ADMINNOTICESENABLED":   "false",
		"MM_ANNOUNCEMENTSETTINGS_USERNOTICESENABLED":    "false",
		"MM_EMAILSETTINGS_SENDPUSHNOTIFICATIONS":        "false",
		"MM_PLUGINSETTINGS_ENABLEUPLOADS":               "true",
		"MM_PLUGINSETTINGS_ENABLEMARKETPLACE":           "false",
		"MM_PLUGINSETTINGS_AUTOMATICPREPACKAGEDPLUGINS": "false",
		"MM_TEAMSETTINGS_MAXUSERSPERTEAM":               "10000",
	}
	if n.Config.TLS {
		env["MM_SERVICESETTINGS_CONNECTIONSECURITY"] = "TLS"
		env["MM_SERVICESETTINGS_TLSCERTFILE"] = filepath.Join(n.Dir, "cert.pem")
		env["MM_SERVICESETTINGS_TLSKEYFILE"] = filepath.Join(n.Dir, "key.pem")
	}
	for name, value := range n.Config.Env {
		env[name] = strings.ReplaceAll(value, "PORT", strconv.Itoa(n.Port))
	}

	argv := append(slices.Clone(n.Config.Wrap), filepath.Join(n.stage.Root, ".build", "mattermost", "mattermost"), "server")
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = n.Dir
	// A folder for temporary files of its own, so that what a test finds there is this server's.
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + n.Dir, "TMPDIR=" + filepath.Join(n.Dir, "tmp"), "LANG=C.UTF-8"}
	for name, value := range env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	var err error
	if n.Process, err = n.stage.Start("mattermost", n.Dir, cmd); err != nil {
		return err
	}
	path := ""
	if n.Config.SiteURL != "" {
		if path, err = urlPath(n.Config.SiteURL); err != nil {
			return err
		}
	}
	if n.Client == nil {
		n.Client = NewClient(own + path)
	}
	if err := Eventually(2*time.Minute, func() error {
		if err := n.Ended(); err != nil {
			return err
		}
		reply, err := n.Client.Do("GET", "/api/v4/system/ping", nil)
		if err == nil && reply.Status != 200 {
			err = errors.New(reply.String())
		}
		return err
	}); err != nil {
		return fmt.Errorf("the Mattermost server doesn't answer: %w", err)
	}
	n.stage.Say("Mattermost is up at %s", own+path)
	return nil
}

// Restart starts the server again in its old folder and on its old port, after it has ended.
func (n *Node) Restart() error {
	select {
	case <-n.Done():
		return n.start()
	default:
		return errors.New("the server is still running: stop it first")
	}
}

// Logs gives everything that the server, its plugins and the plugin's service have logged.
func (n *Node) Logs() (string, error) {
	var all strings.Builder
	err := filepath.WalkDir(n.Dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".log" {
			return err
		}
		log, err := os.ReadFile(path)
		all.Write(log)
		return err
	})
	return all.String(), err
}

// KeepLogs copies the logs to a folder under e2e/.out, for a person to read after a failure.
func (n *Node) KeepLogs(name string) {
	dir := filepath.Join(n.stage.Root, "e2e", ".out", "logs", name)
	if logs, err := n.Logs(); err == nil && os.MkdirAll(dir, 0o755) == nil {
		_ = os.WriteFile(filepath.Join(dir, filepath.Base(n.Dir)+".log"), []byte(logs), 0o644)
	}
}
