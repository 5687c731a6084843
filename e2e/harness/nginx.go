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

// Nginx is Debian's nginx in front of a Mattermost node, with the documented snippet as it stands in docs/proxy.
type Nginx struct {
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

// StartNginx runs nginx as a plain user on a free port, in front of the node's port.
func (s *Stage) StartNginx(backend int) (*Nginx, error) {
	program, err := FindTool("nginx")
	if err != nil {
		return nil, err
	}
	cred, err := otherUser()
	if err != nil {
		return nil, err
	}
	dir, err := s.Folder("nginx")
	if err != nil {
		return nil, err
	}
	port, err := FreePort()
	if err != nil {
		return nil, err
	}
	if err := copyFile(filepath.Join(s.Root, "docs", "proxy", "postroom.nginx.conf"), filepath.Join(dir, "postroom.conf"), 0o644); err != nil {
		return nil, err
	}
	frame := strings.NewReplacer("DIR", dir, "BACKEND", fmt.Sprint(backend), "PORT", fmt.Sprint(port)).Replace(nginxFrame)
	if err := os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(frame), 0o644); err != nil {
		return nil, err
	}
	if err := giveAway(dir, cred); err != nil {
		return nil, err
	}
	cmd := exec.Command(program, "-p", dir, "-c", filepath.Join(dir, "nginx.conf"), "-e", filepath.Join(dir, "error.log"))
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: cred}
	process, err := s.Start("nginx", dir, cmd)
	if err != nil {
		return nil, err
	}
	address := fmt.Sprintf("127.0.0.1:%d", port)
	return &Nginx{Process: process, Port: port, Client: NewClient("http://" + address)}, Eventually(10*time.Second, func() error {
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
