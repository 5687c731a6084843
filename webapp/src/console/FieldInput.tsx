import type {Field} from './fields';

interface Props {
    field: Field;
    value: string | boolean;
    saved: boolean;

    /** An environment variable sets it, whatever is typed. */
    fixed: boolean;

    /** Why the saved value can't be used, and what to do; "" for none. */
    problem: string;
    change: (value: string | boolean) => void;
}

/** One setting: its label, its input, its help. */
export function FieldInput({field, value, saved, fixed, problem, change}: Props) {
    const id = `field-${field.key}`;
    const help = [field.help, fixed ? `The environment variable \`POSTROOM_${field.key.toUpperCase()}\` sets it.` : ''].filter((each) => each !== '').join(' ');
    const text = typeof value === 'string' ? value : '';
    const common = {id, name: field.key, autoComplete: 'off', spellCheck: false, disabled: fixed, ...(help === '' && problem === '' ? {} : {'aria-describedby': `${id}-help`})};
    return (
        <div className={`console-field ${field.kind === 'long' ? 'console-wide' : ''}`}>
            {field.kind === 'flag' ? (
                <label
                    className='console-check'
                    htmlFor={id}
                >
                    <input
                        {...common}
                        type='checkbox'
                        checked={value === true}
                        onChange={(event) => {
                            change(event.target.checked);
                        }}
                    />
                    {field.label}
                </label>
            ) : <label htmlFor={id}>{field.label}</label>}
            {field.kind === 'choice' && (
                <select
                    {...common}
                    value={text}
                    onChange={(event) => {
                        change(event.target.value);
                    }}
                >
                    {field.options.map(({label, value: option}) => (
                        <option
                            key={option}
                            value={option}
                        >
                            {label}
                        </option>
                    ))}
                </select>
            )}
            {field.kind === 'long' && (
                <textarea
                    {...common}
                    rows={3}
                    placeholder={field.placeholder}
                    value={text}
                    onChange={(event) => {
                        change(event.target.value);
                    }}
                />
            )}
            {(field.kind === 'text' || field.kind === 'number' || field.kind === 'secret') && (
                <input
                    {...common}
                    type={field.kind === 'secret' ? 'password' : 'text'}
                    autoComplete={field.kind === 'secret' ? 'new-password' : 'off'}
                    {...(field.kind === 'number' ? {inputMode: 'numeric', pattern: '[0-9]*'} as const : {})}
                    placeholder={saved ? 'Saved; type to use another' : field.placeholder}
                    value={text}
                    onChange={(event) => {
                        change(field.kind === 'number' ? event.target.value.replace(/\D/g, '') : event.target.value);
                    }}
                />
            )}
            {(help !== '' || problem !== '') && (
                <small id={`${id}-help`}>
                    {problem !== '' && <strong>{`${problem} `}</strong>}
                    <Help text={help}/>
                </small>
            )}
        </div>
    );
}

/** The little Markdown that help texts have. */
function Help({text}: {text: string}) {
    return (
        <>
            {text.split(/(`[^`]+`|\*[^*]+\*)/).map((part, i) => {
                const inner = part.slice(1, -1);
                if (part.startsWith('`')) {
                    return <code key={i}>{inner}</code>;
                }
                return part.startsWith('*') ? <em key={i}>{inner}</em> : part;
            })}
        </>
    );
}
