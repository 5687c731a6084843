package harness

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Proxy is a reverse proxy in front of a Mattermost node, with the documented snippet as it stands in docs/proxy.
type Proxy struct {
	*Process
	Port   int
	Client *Client
}

// nginxFrame is what an administrator has already, cut to the size of a test.
const nginxFrame = `
daemon off;
worker_processes 1;
pid DIR/nginx.pid;
error_log DIR/error.log info;
events { worker_connections 512; }
http {
    access_log DIR/access.log;
    client_body_temp_path DIR/body;
    proxy_temp_path DIR/proxy;
    fastcgi_temp_path DIR/fastcgi;
    uwsgi_temp_path DIR/uwsgi;
    scgi_temp_path DIR/scgi;
    upstream backend {
        server 127.0.0.1:BACKEND;
        keepalive 32;
    }
    server {
        listen 127.0.0.1:PORT;
        client_max_body_size 50m;
        location / {
            proxy_set_header Host $http_host;
            proxy_set_header X-Real-IP $remote_addr;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_pass http://backend;
        }
        include DIR/postroom.conf;
    }
}
`

// caddyFrame likewise.
const caddyFrame = `
{
	admin off
	auto_https off
	storage file_system DIR/storage
}
http://127.0.0.1:PORT {
	bind 127.0.0.1
	import DIR/postroom.conf
	reverse_proxy 127.0.0.1:BACKEND {
		header_up X-Real-IP {remote_host}
	}
}
`

// StartNginx runs nginx on a free port, in front of the node's port.
func (s *Stage) StartNginx(backend int) (*Proxy, error) {
	return s.startProxy("nginx", "postroom.nginx.conf", "nginx.conf", nginxFrame, backend, func(dir, config string) []string {
		return []string{"-p", dir, "-c", config, "-e", filepath.Join(dir, "error.log")}
	})
}

// StartCaddy runs Caddy on a free port, in front of the node's port.
func (s *Stage) StartCaddy(backend int) (*Proxy, error) {
	return s.startProxy("caddy", "postroom.Caddyfile", "Caddyfile", caddyFrame, backend, func(_, config string) []string {
		return []string{"run", "--config", config, "--adapter", "caddyfile"}
	})
}

// startProxy runs the program as a plain user, from a folder of its own.
func (s *Stage) startProxy(name, snippet, main, frame string, backend int, arguments func(dir, config string) []string) (*Proxy, error) {
	program, err := FindTool(name)
	if err != nil {
		return nil, err
	}
	cred, err := otherUser()
	if err != nil {
		return nil, err
	}
	dir, err := s.Folder(name)
	if err != nil {
		return nil, err
	}
	port, err := FreePort()
	if err != nil {
		return nil, err
	}
	documented, err := os.ReadFile(filepath.Join(s.Root, "docs", "proxy", snippet))
	if err != nil {
		return nil, err
	}
	// The documented snippet as it stands, but for the node's port.
	documented = []byte(strings.ReplaceAll(string(documented), "127.0.0.1:8065", fmt.Sprintf("127.0.0.1:%d", backend)))
	if err := os.WriteFile(filepath.Join(dir, "postroom.conf"), documented, 0o644); err != nil {
		return nil, err
	}
	config := filepath.Join(dir, main)
	whole := strings.NewReplacer("DIR", dir, "BACKEND", fmt.Sprint(backend), "PORT", fmt.Sprint(port)).Replace(frame)
	if err := os.WriteFile(config, []byte(whole), 0o644); err != nil {
		return nil, err
	}
	if err := giveAway(dir, cred); err != nil {
		return nil, err
	}
	cmd := exec.Command(program, arguments(dir, config)...)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "XDG_DATA_HOME=" + dir, "XDG_CONFIG_HOME=" + dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: cred}
	process, err := s.Start(name, dir, cmd)
	if err != nil {
		return nil, err
	}
	address := fmt.Sprintf("127.0.0.1:%d", port)
	return &Proxy{Process: process, Port: port, Client: NewClient("http://" + address)}, Eventually(10*time.Second, func() error {
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
