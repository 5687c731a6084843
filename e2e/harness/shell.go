package harness

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// LocalMode lets mmctl in on the node's own machine, by a socket in its folder.
func LocalMode(dir string) map[string]string {
	return map[string]string{"MM_SERVICESETTINGS_ENABLELOCALMODE": "true", "MM_SERVICESETTINGS_LOCALMODESOCKETLOCATION": dir}
}

// Shell runs a line as an admin would type it on the node's machine, with the built mmctl in the path.
func (n *Node) Shell(line string) error {
	cmd := exec.Command("/bin/sh", "-c", line)
	cmd.Dir = n.Dir
	cmd.Env = []string{
		"PATH=" + filepath.Join(n.stage.Root, ".build", "mattermost") + ":" + os.Getenv("PATH"), "HOME=" + n.Dir,
		"MMCTL_LOCAL_SOCKET_PATH=" + n.Config.Env["MM_SERVICESETTINGS_LOCALMODESOCKETLOCATION"],
	}
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", line, err, said)
	}
	return nil
}

// Mmctl runs mmctl in local mode.
func (n *Node) Mmctl(arguments string) error { return n.Shell("mmctl --local " + arguments) }
