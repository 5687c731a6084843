// Mail servers for the tests of a connection: one that is not there, one that takes a mail, one that says nothing.
import {once} from 'node:events';
import {createServer, type AddressInfo, type Server, type Socket} from 'node:net';

/** A port on loopback where nothing listens: it was free a moment ago. */
export async function deadPort(): Promise<number> {
    const peer = await Peer.listen(() => undefined);
    await peer.close();
    return peer.port;
}

export class Peer {
    private constructor(private readonly server: Server, private readonly sockets: Set<Socket>, readonly port: number) {}

    static async listen(serve: (socket: Socket) => void): Promise<Peer> {
        const sockets = new Set<Socket>();
        const server = createServer((socket) => {
            sockets.add(socket);
            socket.on('close', () => sockets.delete(socket));
            socket.on('error', () => undefined);
            serve(socket);
        });
        server.listen(0, '127.0.0.1');
        await once(server, 'listening');
        return new Peer(server, sockets, (server.address() as AddressInfo).port);
    }

    /** Accepts, and never says a word. */
    static stalled(): Promise<Peer> {
        return Peer.listen(() => undefined);
    }

    /** Takes every mail (RFC 5321), and says under which id. */
    static taking(queueID: string): Promise<Peer> {
        return Peer.listen((socket) => {
            let data = false;
            let rest = '';
            const say = (line: string): void => void socket.write(`${line}\r\n`);
            say('220 peer.example.com ESMTP');
            socket.setEncoding('utf8');
            socket.on('data', (text: string) => {
                const lines = (rest + text).split('\r\n');
                rest = lines.pop() ?? '';
                for (const line of lines) {
                    if (data) {
                        if (line === '.') {
                            data = false;
                            say(`250 2.0.0 Ok: queued as ${queueID}`);
                        }
                        continue;
                    }
                    switch (line.split(' ')[0]?.toUpperCase()) {
                    case 'EHLO':
                        say('250-peer.example.com');
                        say('250 8BITMIME');
                        break;
                    case 'DATA':
                        data = true;
                        say('354 End data with <CR><LF>.<CR><LF>');
                        break;
                    case 'QUIT':
                        say('221 2.0.0 Bye');
                        socket.end();
                        break;
                    default:
                        say('250 2.1.0 Ok');
                    }
                }
            });
        });
    }

    /** Resolves once somebody is connected, as a test is. */
    async connected(): Promise<void> {
        if (this.sockets.size === 0) {
            await once(this.server, 'connection');
        }
    }

    async close(): Promise<void> {
        this.sockets.forEach((socket) => socket.destroy());
        this.server.close();
        await once(this.server, 'close');
    }
}
