import {createRoot} from 'react-dom/client';

import '../theme/page.css';
import '../theme/parts.css';

import {baseOfPage} from '../client/base';
import {Client} from '../client/client';

import {Connections} from './Connections';

const base = baseOfPage(window.location.href);
const place = document.getElementById('console');
if (place !== null) {
    // The frame comes in the reader's language; what fills it is English.
    document.documentElement.lang = 'en';
    document.documentElement.dir = 'ltr';
    createRoot(place).render(
        <>
            <header className='console-head'>
                <h1>{'Postroom: connections'}</h1>
                <a href={`${base}/admin_console/plugins/plugin_postroom`}>{'System Console'}</a>
            </header>
            <main>
                <Connections
                    client={new Client(base)}
                    base={base}
                />
            </main>
        </>,
    );
}
