import {describe, expect, test} from 'vitest';

import {PLACEHOLDER} from '../src/client/types';
import {fieldsOf, shown, typedOf} from '../src/console/fields';

const option = (value: string): {display_name: string; value: string} => ({display_name: value.toUpperCase(), value});
const schema = {sections: [{settings: [
    {key: 'FromName', display_name: 'From:', type: 'text'},
    {key: 'PrimaryHost', display_name: 'Host:', type: 'text', help_text: 'Empty: none.', placeholder: 'smtp.example.com', default: ''},
    {key: 'PrimaryPort', display_name: 'Port:', type: 'number', default: 0},
    {key: 'PrimarySecurity', display_name: 'Security:', type: 'dropdown', default: 'starttls', options: [option('starttls'), option('tls')]},
    {key: 'PrimaryCA', display_name: 'Authorities:', type: 'longtext'},
    {key: 'PrimaryPassword', display_name: 'Password:', type: 'text', secret: true},
    {key: 'PrimaryConnections', display_name: 'Connections at once:', type: 'number', default: 50},
]}, {settings: [{key: 'FallbackHost', display_name: 'Host:', type: 'text'}]}]};

describe('a connection\'s form', () => {
    test('is what plugin.json has for it', () => {
        const fields = fieldsOf('primary', schema);
        expect(fields.map(({key, kind, first}) => `${key} ${kind} ${String(first)}`)).toEqual([
            'PrimaryHost text true', 'PrimaryPort number true', 'PrimarySecurity choice true', 'PrimaryCA long false', 'PrimaryPassword secret true',
        ]);
        expect(fields[0]).toMatchObject({label: 'Host', help: 'Empty: none.', placeholder: 'smtp.example.com'});
        expect(fieldsOf('fallback', schema).map(({key}) => key)).toEqual(['FallbackHost']);
    });

    test('shows what is saved, or the standard, and never a secret', () => {
        const fields = fieldsOf('primary', schema);
        const saved = {PrimaryHost: 'a.example.com', PrimaryPort: 465, PrimaryPassword: PLACEHOLDER};
        expect(fields.map((field) => shown(field, saved))).toEqual(['a.example.com', '465', 'starttls', '', '']);
        expect(fields.map((field) => shown(field, {}))).toEqual(['', '', 'starttls', '', '']);
    });

    test('is tested as typed over what is saved, numbers as numbers, the saved secret by its placeholder', () => {
        const fields = fieldsOf('primary', schema);
        const saved = {PrimaryHost: 'a.example.com', PrimaryPort: 465, PrimaryPassword: 'env:SMTP_PASSWORD', ClearTextHosts: 'mail.lan'};
        expect(typedOf('primary', fields, saved, {PrimaryPort: '587'})).toEqual({settings: {
            PrimaryHost: 'a.example.com', PrimaryPort: 587, PrimarySecurity: 'starttls', PrimaryCA: '', PrimaryPassword: PLACEHOLDER,
            ClearTextHosts: 'mail.lan', // a setting of another's that counts
        }});
        // As saved, a number by its text: else the saved password would not count.
        expect(typedOf('primary', fields, {...saved, PrimaryPort: '465'}, {})).toMatchObject({settings: {PrimaryPort: '465'}});
        expect(typedOf('primary', fields, {}, {PrimaryPassword: 'typed', PrimaryPort: '25'})).toEqual({settings: {
            PrimaryHost: '', PrimaryPort: 25, PrimarySecurity: 'starttls', PrimaryCA: '', PrimaryPassword: 'typed',
        }});
    });

    test('of Mattermost\'s own posts every saved member with it, as email/test wants', () => {
        const saved = {SMTPServer: 'localhost', SMTPPort: '10025', ConnectionSecurity: '', EnableSMTPAuth: false, SMTPPassword: PLACEHOLDER, SMTPServerTimeout: 10, SendPushNotifications: true};
        expect(typedOf('mattermost', fieldsOf('mattermost'), saved, {SMTPPort: '25', EnableSMTPAuth: true})).toEqual({EmailSettings: {
            ...saved, SMTPPort: '25', EnableSMTPAuth: true, SMTPUsername: '', SkipServerCertificateVerification: false, FeedbackEmail: '', FeedbackName: '', ReplyToAddress: '',
        }});
    });
});
