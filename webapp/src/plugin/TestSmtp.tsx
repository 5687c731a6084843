import type {Client} from '../client/client';
import {TestConnection} from '../test-connection/TestConnection';

import type {Form} from './form';

/** What the host passes to a custom setting, as far as it is used. `config` is the *saved* configuration. */
interface Props {
    config?: unknown;
    disabled?: boolean;
}

/** The SMTP page's entry. Its rows are laid out by the host's own classes. */
export function testSmtp(client: Client, form: Form) {
    return function TestSmtp({config, disabled}: Props) {
        return (
            <div className='form-group postroom postroom-hosted'>
                <div className='col-sm-4'/>
                <div className='col-sm-8'>
                    <TestConnection
                        client={client}
                        name='mattermost'
                        what={'Mattermost\'s SMTP settings'}
                        typed={() => form.typed(config)}
                        disabled={disabled ?? false}
                        buttonClass='btn btn-tertiary'
                    />
                </div>
            </div>
        );
    };
}
